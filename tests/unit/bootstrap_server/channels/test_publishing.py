"""What a server refuses of those who may publish, and of those who may not."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bootstrap_server.web import publish
from tests.helpers.asgi import Answer, ask, send_body
from tests.helpers.releases.forge import load, sign
from tests.helpers.releases.site import make_app
from tests.helpers.releases.store import DAY_S, Maintainer
from tests.unit.bootstrap_server.test_hostile import POISON

EMPTY = hashlib.sha256(b"").hexdigest()
STAMP = "timestamp.json"


@pytest.fixture(autouse=True)
def without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk."""
    monkeypatch.setattr("os.fsync", lambda _: None)


class Site:
    """A server whose store is a copy of the maintainer's, and the requests of a publisher."""

    def __init__(self, top: Path) -> None:
        self.maintainer = Maintainer.begin(top)
        self.store = top / "served"
        shutil.copytree(self.maintainer.layout.top, self.store)
        self.app = make_app(self.store, self.maintainer.root, None)
        self.tokens = self.app.state.tokens
        self.app.state.server.publishing.clock = lambda: self.maintainer.now
        self.token = self.tokens.create("ci", ["publish"])

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Send a request to the store; `_` in a header's name stands for `-`."""
        head = {"authorization": f"Bearer {self.token}", **headers}
        return send_body(self.app, method, f"/api/store/{path}", body, head)

    def etag(self) -> str:
        data = (self.store / "metadata" / STAMP).read_bytes()
        return f'"{hashlib.sha256(data).hexdigest()}"'

    def send_files(self, but: str = "") -> None:
        """Send all files of the maintainer's store, but the one that begins so."""
        for path in (self.maintainer.layout.top / "sha256").iterdir():
            if not but or not path.read_bytes().startswith(but.encode()):
                assert self.send("PUT", f"sha256/{path.name}", path.read_bytes()).status == 201

    def push(self, files: dict[str, bytes] | None = None, but: str = "") -> Answer:
        """Send all that the maintainer has, and publish it."""
        self.send_files(but)
        found = files or self.maintainer.files()
        for name, data in found.items():
            if name != STAMP:
                self.send("PUT", f"metadata/{name}", data)
        return self.send("PUT", f"metadata/{STAMP}", found[STAMP], if_match=self.etag())

    def held(self, channel: str = "dev") -> str:
        """Return the release that nodes get."""
        answer = ask(self.app, f"/kernel/{channel}/manifest.json")
        return str(json.loads(answer.text)["version"]) if answer.status == 200 else ""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def refused(answer: Answer, status: int, said: str) -> None:
    assert (answer.status, said in answer.text) == (status, True), (answer.status, answer.text)


def test_a_state_that_is_whole_is_published(site: Site) -> None:
    site.maintainer.publish("dev", "1.0")
    answer = site.push()
    assert (answer.status, answer.headers["etag"]) == (204, site.etag())
    assert site.held() == "1.0"
    again = site.send("PUT", f"metadata/{STAMP}", site.maintainer.files()[STAMP])
    assert again.status == 428
    (line,) = (site.store / "audit.jsonl").read_text().splitlines()
    row = json.loads(line)
    assert (row["name"], row["token"], row["address"]) == ("ci", site.token[4:12], "127.0.0.1")
    assert row["channels"]["dev"] == {"sequence": 2, "from": "", "to": "1.0", "withdrawn": []}
    assert ask(site.app, "/api/store/releases").text == '{"releases":["1.0"]}'
    assert (
        ask(site.app, "/api/store/releases/1.0").text
        == ask(site.app, "/kernel/dev/manifest.json").text
    )


def test_nothing_is_visible_before_the_timestamp(site: Site) -> None:
    site.maintainer.publish("dev", "1.0")
    site.send_files()
    for name, data in site.maintainer.files().items():
        if name != STAMP:
            assert site.send("PUT", f"metadata/{name}", data).status == 202
    assert site.held() == ""
    assert ask(site.app, "/channel/metadata/2.dev.json").status == 404
    assert ask(site.app, "/api/store/releases").text == '{"releases":[]}'


@pytest.mark.parametrize("token", ["none", "wrong", "revoked", "other scope", "garbage"])
def test_who_may_not_publish(site: Site, token: str) -> None:
    made = {
        "none": "",
        "wrong": f"Bearer zos_{site.token[4:12]}_{'x' * 43}",
        "revoked": f"Bearer {site.token}",
        "other scope": f"Bearer {site.tokens.create('other', ['nodes', 'read'])}",
        "garbage": "Basic \x7f",
    }[token]
    if token == "revoked":
        site.tokens.revoke(site.token[4:12])
    status = 403 if token == "other scope" else 401
    requests = [
        ("PUT", f"sha256/{EMPTY}"),
        ("PUT", "metadata/2.dev.json"),
        ("PUT", f"metadata/{STAMP}"),
        ("GET", "staged.json"),
        ("PUT", "staged.json"),
        ("DELETE", "staged.json"),
    ]
    before = sorted(site.store.rglob("*"))
    for method, path in requests:
        head = {"if-match": site.etag(), **({"authorization": made} if made else {})}
        answer = send_body(site.app, method, f"/api/store/{path}", b"", head)
        assert answer.status == status, (method, path, answer.text)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert sorted(site.store.rglob("*")) == before


def test_a_file_that_is_not_what_its_name_says(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    name = hashlib.sha256(b"content").hexdigest()
    for body in (b"conten", b"contents", b"CONTENT", b""):
        refused(site.send("PUT", f"sha256/{name}", body), 422, "SHA-256")
    monkeypatch.setattr(publish, "FILE_MAX_BYTES", 5)
    refused(site.send("PUT", f"sha256/{name}", b"content"), 413, "more than 5 bytes")
    assert ask(site.app, f"/api/store/sha256/{name}").status == 404
    assert not list((site.store / "incoming" / "files").iterdir())
    assert ask(site.app, f"/api/store/sha256/{name}", method="HEAD").status == 404
    monkeypatch.setattr(publish, "FILE_MAX_BYTES", 7)
    assert site.send("PUT", f"sha256/{name}", b"content").status == 201
    answer = ask(site.app, f"/api/store/sha256/{name}", method="HEAD")
    assert (answer.status, answer.headers["content-length"]) == (200, "7")
    (site.store / "sha256" / name).write_bytes(b"damaged")
    assert ask(site.app, f"/api/store/sha256/{name}", method="HEAD").status == 404


NAMES = [
    *("..", "%2e%2e%2fkeys", "..%2F.lock", ".lock", "0" * 63, "A" * 64, "%00", "a%0a"),
    *("0.root.json", "01.dev.json", "2.other.json", "dev.json", "2.dev.json.tmp"),
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_elsewhere(site: Site, name: str) -> None:
    before = sorted(site.store.rglob("*"))
    for folder in ("sha256", "metadata"):
        answer = site.send("PUT", f"{folder}/{name}", b"x", if_match=site.etag())
        assert 400 <= answer.status < 500, (folder, answer.text)
    assert 400 <= ask(site.app, f"/api/store/releases/{name}").status < 500
    assert [p for p in sorted(site.store.rglob("*")) if p.name != "incoming"] == before


def test_metadata_that_is_none(site: Site) -> None:
    good = site.maintainer.files()["1.dev.json"]
    for body in (b"", b"{}", b"[", b"[" * 100_000, good[:-20], *(t.encode() for t in POISON[:20])):
        refused(site.send("PUT", "metadata/2.dev.json", body), 422, "metadata")
    refused(site.send("PUT", "metadata/2.dev.json", good), 422, "another version")
    refused(site.send("PUT", "metadata/1.root.json", good), 422, "expected root metadata")
    refused(site.send("PUT", "metadata/2.dev.json?work=../x", good), 422, "work")
    refused(site.send("PUT", "metadata/1.dev.json", b"x" * 2_000_001), 413, "more than")


def test_a_missing_file_is_named(site: Site) -> None:
    site.maintainer.publish("dev", "1.0")
    refused(site.push(but="vmlinuz"), 409, "the store lacks dev/vmlinuz (")
    assert site.held() == ""
    site.send_files()
    answer = site.send(
        "PUT", f"metadata/{STAMP}", site.maintainer.files()[STAMP], if_match=site.etag()
    )
    assert answer.status == 204  # what was sent before is kept
    assert site.held() == "1.0"


def test_missing_or_other_metadata(site: Site) -> None:
    site.maintainer.publish("dev", "1.0")
    files = site.maintainer.files()
    refused(site.push({STAMP: files[STAMP]}), 422, "2.snapshot.json is not there")
    shot = load(files, "2.snapshot.json")
    forged = sign(shot, [site.maintainer.key("dev")])
    refused(site.push({**files, "2.snapshot.json": forged}), 422, "snapshot.json")
    assert site.held() == ""
    assert site.push(files).status == 204


def test_keys_of_others(site: Site, tmp_path: Path) -> None:
    other = Maintainer.begin(tmp_path / "other")
    other.publish("dev", "6.66")
    refused(site.push(other.files()), 422, "signed by 0 of its keys")
    assert site.held() == ""


def test_an_older_state(site: Site) -> None:
    first = site.maintainer.files()
    site.maintainer.publish("dev", "1.0")
    second = site.maintainer.files()
    assert site.push().status == 204
    refused(site.push(first), 422, "was seen before")
    stamp = load(second, STAMP)
    again = sign({**stamp, "expires": "2099-01-01T00:00:00Z"}, [site.maintainer.key("timestamp")])
    refused(site.push({**second, STAMP: again}), 422, "2 is published")
    assert site.held() == "1.0"


def test_an_expired_state(site: Site) -> None:
    site.maintainer.publish("dev", "1.0")
    site.maintainer.now += 15 * DAY_S
    refused(site.push(), 422, "has expired")
    site.maintainer.renew()
    assert site.push().status == 204


def test_two_publishers(site: Site, tmp_path: Path) -> None:
    """The second one's change is refused, whole, and can be made again."""
    site.maintainer.publish("dev", "1.0")
    before = site.etag()
    assert site.push().status == 204
    site.maintainer.publish("dev", "1.1")
    refused(
        site.send("PUT", f"metadata/{STAMP}", site.maintainer.files()[STAMP], if_match=before),
        412,
        "has changed since",
    )
    none = site.send("PUT", f"metadata/{STAMP}", b"{}", if_none_match="*")
    refused(none, 412, "has changed since")
    assert site.held() == "1.0"
    assert site.push().status == 204
    assert site.held() == "1.1"


def test_a_release_that_production_may_not_hold(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All keys have signed it; the server is not the maintainer's own check."""
    for place in ("image.channel.actions.demand_fit", "image.channel.commit.open_manifest"):
        monkeypatch.setattr(place, lambda *_: None)
    site.maintainer.publish("prod", "1.0", debug=True)
    refused(site.push(), 422, "it is a debug release")
    assert site.held("prod") == ""


def test_a_history_that_was_rewritten(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.maintainer.publish("dev", "1.0")
    assert site.push().status == 204
    monkeypatch.setattr("image.channel.repository.Repository.history", lambda *_: b"")
    site.maintainer.publish("dev", "1.1")
    refused(site.push(), 422, "does not go on")
    assert site.held() == "1.0"


def test_another_release_of_the_same_version(site: Site) -> None:
    site.maintainer.publish("dev", "1.0")
    assert site.push().status == 204
    (site.maintainer.layout.top / "releases" / "1.0.json").unlink()
    site.maintainer.publish("qa", "1.0", note="another")
    refused(site.push(), 422, "another release 1.0")
    assert site.held("qa") == ""


@pytest.mark.parametrize("role", ["timestamp", "prod", "root", "targets"])
def test_new_keys(site: Site, role: str, tmp_path: Path) -> None:
    """Roots come with what they need, also if clients of the old one can't follow otherwise."""
    from image.channel.signers import make_key

    new = make_key(tmp_path / "keys" / "new.pem")
    site.maintainer.keys_changed()
    first = "root-1" if role == "root" else role
    old = site.maintainer.key(first).public_key.keyid
    site.maintainer.rotate(role, add=[new.public_key], remove=[old])
    assert site.push().status == 204
    assert site.held() == ""
    site.maintainer.publish("dev", "1.0")
    assert site.push().status == 204
    assert site.held() == "1.0"
    assert sorted(site.maintainer.files()) == sorted(
        path.name for path in (site.store / "metadata").iterdir()
    )


def test_a_change_that_waits(site: Site) -> None:
    assert site.send("GET", "staged.json").status == 404
    for body in (b"", b"[]", b"{", b"[" * 100_000):
        refused(site.send("PUT", "staged.json", body, if_none_match="*"), 422, "JSON object")
    assert site.send("PUT", "staged.json", b"{}").status == 428
    kept = site.send("PUT", "staged.json", b'{"a": 1}', if_none_match="*")
    assert kept.status == 204
    refused(site.send("PUT", "staged.json", b"{}", if_none_match="*"), 412, "has changed")
    assert site.send("GET", "staged.json").headers["etag"] == kept.headers["etag"]
    refused(site.send("DELETE", "staged.json", if_match='"x"'), 412, "has changed")
    assert site.send("DELETE", "staged.json", if_match=kept.headers["etag"]).status == 204
    assert site.send("GET", "staged.json").status == 404


def test_a_server_of_folders(tmp_path: Path) -> None:
    from bootstrap_server.settings import Settings
    from bootstrap_server.web.app import create_app

    app = create_app(Settings("http://boot.example", "http://hub.example", tmp_path))
    token = app.state.tokens.create("ci", ["publish"])
    head: dict[str, Any] = {"authorization": f"Bearer {token}", "if-none-match": "*"}
    for path in (f"sha256/{EMPTY}", "metadata/1.dev.json", f"metadata/{STAMP}", "staged.json"):
        assert send_body(app, "PUT", f"/api/store/{path}", b"", head).status == 404
    assert ask(app, "/api/store/releases").status == 404


def test_an_empty_store_is_filled(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.maintainer.publish("dev", "1.0")
    shutil.rmtree(site.store)
    site.store.mkdir()
    site.send_files()
    files = site.maintainer.files()
    for name, data in files.items():
        if name != STAMP:
            assert site.send("PUT", f"metadata/{name}", data).status == 202
    assert site.send("PUT", f"metadata/{STAMP}", files[STAMP], if_none_match="*").status == 204
    assert site.held() == "1.0"
