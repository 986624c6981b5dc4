"""What a repository accepts: no crafted file, only what its signers have signed."""

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flist.format.signing.sign import sign_flist, sign_inside
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.hub.errors import InvalidError
from flist.hub.library import accepting
from flist.hub.library.accepting import parse_flist
from flist.model import ROOT_INO, Inode
from tests.helpers.flist.hub import LocalHub, make_flist, make_hub

KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(3)]


@pytest.fixture(name="hub")
def serve(tmp_path: Path) -> LocalHub:
    return make_hub(tmp_path / "hub")


def signers(*numbers: int) -> list[str]:
    """Return public keys in hex."""
    return [KEYS[number].public_key().public_bytes_raw().hex() for number in numbers]


def demand(hub: LocalHub, threshold: int, *numbers: int) -> None:
    """Let alice's repository need signatures."""
    viewer = hub.viewer("alice")
    assert hub.send("PUT", "/alice/first.fl", b"", user="alice").status == 422  # makes it
    hub.hub.repositories.change(viewer, "alice", signers=signers(*numbers), threshold=threshold)


def put(hub: LocalHub, data: bytes, name: str = "/alice/a.fl") -> int:
    """Publish as alice; return the status."""
    return hub.send("PUT", name, data, user="alice").status


def test_a_signature_beside_is_sent_first(hub: LocalHub, tmp_path: Path) -> None:
    demand(hub, 1, 0, 1)
    data = make_flist(tmp_path, hub.root, "content")
    meta = tmp_path / "made.fl"
    assert put(hub, data) == 422
    for name, key, status in (("alice/a", 2, 422), ("alice/b", 0, 422), ("alice/a", 1, 201)):
        text = sign_flist(meta, name, KEYS[key]).encode()
        assert put(hub, text, "/alice/a.fl.sig") == status
        assert put(hub, data) == status
    assert hub.send("GET", "/alice/a.fl.sig").body == text
    assert put(hub, data, "/alice/b.fl") == 422  # signed under another name
    assert hub.get("/api/flist") == ["alice/a.fl"]


def test_no_rollback_goes_around_the_signers(hub: LocalHub, tmp_path: Path) -> None:
    old = hashlib.sha256(make_flist(tmp_path, hub.root, "old")).hexdigest()
    assert put(hub, (tmp_path / "made.fl").read_bytes()) == 201
    demand(hub, 1, 0)
    data = make_flist(tmp_path, hub.root, "new")
    text = sign_flist(tmp_path / "made.fl", "alice/a", KEYS[0]).encode()
    assert put(hub, text, "/alice/a.fl.sig") == put(hub, data) == 201
    path = "/api/v1/fl/rollback/alice/a.fl"
    assert hub.send("POST", path, {"digest": old}, user="alice").status == 422
    new = hashlib.sha256(data).hexdigest()
    assert hub.send("POST", path, {"digest": new}, user="alice").status == 200


def test_several_have_to_sign(hub: LocalHub, tmp_path: Path) -> None:
    demand(hub, 2, 0, 1)
    make_flist(tmp_path, hub.root, "content")
    meta = tmp_path / "made.fl"
    for key, status in ((0, 422), (0, 422), (2, 422), (1, 201)):
        sign_inside(meta, "alice/a", KEYS[key])
        assert put(hub, meta.read_bytes()) == status
    # One of them inside, one beside.
    sign_inside(meta, "alice/a", KEYS[0], are_others_kept=False)
    assert put(hub, meta.read_bytes()) == 422
    text = sign_flist(meta, "alice/a", KEYS[1]).encode()
    assert put(hub, text, "/alice/a.fl.sig") == 201
    assert put(hub, meta.read_bytes()) == 201
    meta.write_bytes(meta.read_bytes()[:-1] + b"X")
    assert put(hub, meta.read_bytes()) == 422


def test_a_damaged_flist_is_refused(hub: LocalHub, tmp_path: Path) -> None:
    data = bytearray(make_flist(tmp_path, hub.root, "content"))
    page = data.rindex(b"file")
    data[page - 200 : page] = b"\xff" * 200
    assert put(hub, bytes(data)) == 422
    assert put(hub, bytes(data[: len(data) // 2])) == 422


def test_a_flist_that_takes_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inodes = [
        Inode(ino, min(ino, ROOT_INO), b"%d" % ino, 0, 0, 0, 0o40755, 0, 0, 0, 0, 1)
        for ino in range(ROOT_INO, ROOT_INO + 1000)
    ]
    meta = tmp_path / "many.fl"
    write_flist(meta, Tables(inodes, {}, {}, {}, []))
    assert parse_flist(meta).blocks == frozenset()
    monkeypatch.setattr(accepting, "READ_WITHIN_S", -1.0)
    with pytest.raises(InvalidError):
        parse_flist(meta)


def test_too_many_blocks_are_refused(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_flist(tmp_path, hub.root, "content")
    monkeypatch.setattr(accepting, "MAX_BLOCKS", 0)
    assert put(hub, data) == 413
