"""Publishing: what is taken, from whom, and which versions are kept."""

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flist.format.signing.sign import sign_flist
from flist.hub.app import create_app
from flist.hub.errors import ForbiddenError, InvalidError
from flist.store.folder import FolderStore
from tests.helpers.asgi import ask
from tests.helpers.flist.hub import LocalHub, make_flist, make_hub

NAME = "/me/tree.fl"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


@pytest.fixture(name="hub")
def serve(tmp_path: Path) -> LocalHub:
    hub = make_hub(tmp_path / "hub", keep_versions=2)
    hub.hub.repositories.create(hub.viewer("alice"), "me")
    return hub


def sign(folder: Path, data: bytes) -> bytes:
    """Return the text of a signature of a flist."""
    (folder / "signed.fl").write_bytes(data)
    return sign_flist(folder / "signed.fl", "me/tree", KEY).encode()


def put(hub: LocalHub, data: bytes, user: str = "alice", name: str = NAME) -> int:
    """Publish; return the status."""
    answer = hub.send("PUT", name, data, user=user)
    assert str(hub.root) not in answer.text
    return answer.status


def leftovers(hub: LocalHub) -> list[str]:
    """Return what a request has left in the folder of arriving files."""
    return [path.name for path in (hub.root / "tmp").iterdir()]


@pytest.mark.parametrize(
    "data", [b"", b"no flist", b"SQLite format 3\0" + bytes(5000), b"\x1f\x8b no gzip"]
)
def test_what_is_no_flist_is_refused(hub: LocalHub, tmp_path: Path, data: bytes) -> None:
    good = make_flist(tmp_path, tmp_path / "hub", "one")
    assert put(hub, good) == 201
    assert put(hub, data) == 422
    assert put(hub, data, name="/me/other.fl") == 422
    assert hub.send("GET", NAME).body == good
    assert hub.get("/api/flist") == ["me/tree.fl"]
    assert leftovers(hub) == []


@pytest.mark.parametrize("data", [b"", b"name: x\n", b"\xff" * 100, b"x" * 5000])
def test_what_is_no_signature_is_refused(hub: LocalHub, data: bytes) -> None:
    assert put(hub, data, name=f"{NAME}.sig") in (413, 422)
    assert hub.get("/api/flist") == leftovers(hub) == []


@pytest.mark.parametrize("repo", ["api", "blocks", "flists", "objects", "website"])
def test_a_repository_whose_address_is_taken_is_refused(
    hub: LocalHub, tmp_path: Path, repo: str
) -> None:
    data = make_flist(tmp_path, tmp_path / "hub", "one")
    assert put(hub, data, "operator", f"/{repo}/tree.fl") in (400, 405)
    with pytest.raises(InvalidError):
        hub.hub.repositories.create(hub.viewer("operator"), repo)
    plain = tmp_path / "plain"
    (plain / "flists" / repo).mkdir(parents=True)
    (plain / "flists" / repo / "tree.fl").write_bytes(data)
    # It would name an address that serves something else.
    assert ask(create_app(plain), "/api/flist").body == b"[]"


def test_only_its_owner_publishes_in_a_repository(hub: LocalHub, tmp_path: Path) -> None:
    data, other = (
        make_flist(tmp_path, tmp_path / "hub", "one"),
        make_flist(tmp_path, tmp_path / "hub", "two"),
    )
    assert put(hub, data, "alice") == 201
    assert put(hub, other, "bob") == 403
    assert put(hub, other, "bob", "/me/new.fl") == 403
    assert put(hub, sign(tmp_path, other), "bob", f"{NAME}.sig") == 403
    assert hub.send("DELETE", NAME, user="bob").status == 403
    assert hub.send("GET", NAME).body == data
    assert put(hub, other, "alice") == 201
    assert put(hub, data, "operator") == 201
    assert put(hub, other, "bob", "/bob/tree.fl") == 201
    assert put(hub, other, "alice", "/absent/tree.fl") == 404
    assert put(hub, other, "", "/me/tree.fl") == 401


def test_the_members_of_a_group_publish_in_its_repositories(hub: LocalHub, tmp_path: Path) -> None:
    accounts = hub.hub.accounts
    accounts.create("makers", kind="group")
    accounts.add_member("makers", "bob")
    repositories = hub.hub.repositories
    with pytest.raises(ForbiddenError):
        repositories.create(hub.viewer("alice"), "images", owner="makers")
    repositories.create(hub.viewer("bob"), "images", owner="makers", is_private=True)
    data = make_flist(tmp_path, tmp_path / "hub", "one")
    assert put(hub, data, "alice", "/images/tree.fl") == 404  # it is private
    assert put(hub, data, "bob", "/images/tree.fl") == 201
    assert hub.send("GET", "/images/tree.fl", user="alice").status == 404
    assert hub.send("GET", "/images/tree.fl", user="bob").body == data


def test_nobody_opens_the_private_blocks_of_others(hub: LocalHub, tmp_path: Path) -> None:
    """A flist or a file that names them would, for whoever has learned their names."""
    hub.hub.repositories.change(hub.viewer("alice"), "me", is_private=True)
    data = make_flist(tmp_path, tmp_path / "hub", "secret")
    (block,) = (path.name for path in (hub.root / "blocks").glob("*/*"))
    address = f"/blocks/{block[:2]}/{block}"
    assert put(hub, data) == 201
    asked = {"blocks": [{"block_hash": block, "block_index": 0}]}
    for user, is_reader in (("", False), ("bob", False), ("alice", True), ("operator", True)):
        assert hub.send("GET", address, user=user).status == (200 if is_reader else 404)
        missing = json.loads(hub.send("POST", "/api/v1/block/verify", asked, user=user).body)
        assert missing == {"missing": [] if is_reader else [block]}
    assert put(hub, data, "bob", "/bob/tree.fl") == 422
    assert hub.send("POST", "/api/v1/file", data, user="bob").status == 201
    assert hub.send("GET", address).status == 404
    # Who has its bytes uploads it himself.
    body = next((hub.root / "blocks").glob(f"*/{block}")).read_bytes()
    assert hub.send("POST", "/api/v1/block", body, user="bob").status in (200, 201)
    assert hub.send("GET", address).status == 200
    assert put(hub, data, "bob", "/bob/tree.fl") == 201


def test_a_refused_body_publishes_nothing(hub: LocalHub) -> None:
    assert put(hub, b"no flist", "bob", "/bob/tree.fl") == 422
    assert hub.get("/api/flist") == []


def roll_back(hub: LocalHub, digest: str, user: str = "alice") -> int:
    """Publish an earlier version; return the status."""
    body = {"digest": digest}
    return hub.send("POST", f"/api/v1/fl/rollback{NAME}", body, user=user).status


def versions(hub: LocalHub) -> list[tuple[str, bool, bool]]:
    """Return the versions that the hub lists: digest, is it current, is it signed."""
    rows = hub.get(f"/api/v1/fl/history{NAME}")["versions"]
    return [(row["digest"], row["is_current"], row["is_signed"]) for row in rows]


def publish(hub: LocalHub, folder: Path, number: int, *, is_signed: bool = True) -> str:
    """Publish version `number` of the flist, signature first; return its digest."""
    data = make_flist(folder, folder / "hub", f"content {number}")
    if is_signed:
        assert put(hub, sign(folder, data), name=f"{NAME}.sig") == 201
    assert put(hub, data) == 201
    return hashlib.sha256(data).hexdigest()


def test_earlier_versions_are_kept_with_their_signatures(hub: LocalHub, tmp_path: Path) -> None:
    first, second, third = (publish(hub, tmp_path, number) for number in range(3))
    assert versions(hub) == [(third, True, True), (second, False, True), (first, False, True)]
    assert hub.send("GET", f"{NAME}?version={first}").body != hub.send("GET", NAME).body
    for digest in (first, second, third):
        for path in (f"{NAME}?version={digest}", f"/objects/{digest}"):
            answer = hub.send("GET", path)
            assert hashlib.sha256(answer.body).hexdigest() == digest
            assert answer.headers["etag"] == f'"{digest}"'
    for digest in (second, first, third):
        assert roll_back(hub, digest) == 200
        body = hub.send("GET", NAME).body
        assert hashlib.sha256(body).hexdigest() == digest
        assert hub.send("GET", f"{NAME}.sig").body == sign(tmp_path, body)
    fourth = publish(hub, tmp_path, 4)
    assert versions(hub)[0] == (fourth, True, True)
    assert len(versions(hub)) == 3  # the published one and two others


def test_a_version_that_was_not_signed_loses_the_signature(hub: LocalHub, tmp_path: Path) -> None:
    first = publish(hub, tmp_path, 1, is_signed=False)
    publish(hub, tmp_path, 2)
    assert roll_back(hub, first) == 200
    assert hub.send("GET", f"{NAME}.sig").status == 404


def test_only_the_owner_rolls_back_and_only_to_what_is_kept(hub: LocalHub, tmp_path: Path) -> None:
    first, second = (publish(hub, tmp_path, number) for number in (1, 2))
    assert roll_back(hub, first, "bob") == 403
    assert roll_back(hub, first, "") == 401
    for digest in ("0" * 64, "", "../../../etc/passwd", first[:10]):
        assert roll_back(hub, digest) == 404
    assert versions(hub)[0][0] == second
    for path in ("/me/absent.fl", "/me/tree.fl.sig", "/blocks/tree.fl"):
        assert hub.send("GET", f"/api/v1/fl/history{path}").status == 404


def test_the_preview_and_the_pages_of_a_repository(hub: LocalHub, tmp_path: Path) -> None:
    digest = publish(hub, tmp_path, 1)
    for path in ("flists%2Fme%2Ftree.fl", "flists/me/tree.fl"):
        found = hub.get(f"/api/v1/fl/preview/{path}")
        assert found["content"] == ["/", "/file"]
        assert found["checksum"] == digest
    for path in ("me/tree.fl", "flists/me/absent.fl", "flists/../tree.fl", "/flists/me/tree.fl"):
        assert hub.send("GET", f"/api/v1/fl/preview/{path}").status == 400
    assert 'href="me/"' in hub.send("GET", "/flists/").text
    assert 'href="tree.fl"' in hub.send("GET", "/flists/me/").text
    assert hub.send("GET", "/flists/absent/").status == 404
    row = json.loads(hub.send("GET", "/api/v1/fl").body)["me"][0]
    assert hub.send("GET", f"/{row['path_uri']}").body == hub.send("GET", NAME).body


def test_the_blocks_are_on_the_disk_before_the_flist(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store that took the blocks is the one that is flushed."""
    data = make_flist(tmp_path, tmp_path / "hub", "one")
    stores: list[tuple[str, FolderStore]] = []
    put_first, flush_first = FolderStore.put, FolderStore.flush

    def noted_put(store: FolderStore, block_id: bytes, block: bytes) -> None:
        stores.append(("put", store))
        put_first(store, block_id, block)

    def noted_flush(store: FolderStore) -> None:
        stores.append(("flush", store))
        flush_first(store)

    monkeypatch.setattr(FolderStore, "put", noted_put)
    monkeypatch.setattr(FolderStore, "flush", noted_flush)
    assert hub.send("POST", "/api/v1/block", b"block", user="alice").status == 201
    assert put(hub, data) == 201
    assert {what for what, _ in stores[:-1]} == {"put"}
    assert stores[-1][0] == "flush"
    assert len({id(store) for _, store in stores}) == 1
