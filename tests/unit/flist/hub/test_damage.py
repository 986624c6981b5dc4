"""A hub folder that holds damaged or strange files, as after a power cut."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.hub.library import Library
from flist.model import ROOT_INO, Inode
from flist.server.names import name_block
from tests.helpers.flist.hub import LocalHub, make_hub

FILE = "ab" * 32
BLOCK = b"block"
DAMAGES: dict[str, Callable[[Path], object]] = {
    "half": lambda path: path.write_text("half of a na"),
    "zeros": lambda path: path.write_bytes(bytes(64)),
    "other bytes": lambda path: path.write_bytes(b"\xff\xfe" * 32),
    "directory": lambda path: path.mkdir(),
    "pipe": lambda path: os.mkfifo(path),
    "link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.fixture(name="hub")
def serve(tmp_path: Path) -> LocalHub:
    return make_hub(tmp_path / "hub")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("place", ["parts", "list"])
def test_a_damaged_list_of_blocks_counts_as_absent(hub: LocalHub, damage: str, place: str) -> None:
    hub.send("POST", "/api/v1/block", BLOCK, user="alice")
    part = hub.root / "files" / FILE / "0"
    part.parent.mkdir(parents=True)
    DAMAGES[damage](part if place == "parts" else hub.root / "files" / f"{FILE}.blocks")
    assert hub.send("GET", f"/api/v1/file/{FILE}").status == 404
    assert hub.send("GET", f"/website/{FILE}/").status == 404
    assert hub.get(f"/api/v1/blocks/{FILE}") == {"blocks": []}
    row = {"block_hash": name_block(BLOCK), "file_hash": FILE, "block_index": 0}
    asked = hub.send("POST", "/api/v1/block/verify", {"blocks": [row]})
    assert json.loads(asked.body) == {"missing": [name_block(BLOCK)]}


def test_owners_that_are_not_text_own_nothing(hub: LocalHub) -> None:
    owners = hub.root / "owners"
    owners.mkdir()
    (owners / "me").write_bytes(b"\xff\xfe")
    assert hub.send("PUT", "/me/a.fl", b"x", user="alice").status == 403
    os.mkfifo(owners / "pipe")
    assert hub.send("PUT", "/pipe/a.fl", b"x", user="alice").status == 500


def test_a_block_that_cannot_be_stored_names_no_path(hub: LocalHub) -> None:
    (hub.root / "blocks").write_text("a file")
    answer = hub.send("POST", "/api/v1/block", BLOCK, user="alice")
    assert answer.status == 500
    assert str(hub.root) not in answer.text


def test_a_block_that_is_removed_during_a_request_is_not_found(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = name_block(BLOCK)
    monkeypatch.setattr(Library, "block", lambda library, name: library.blocks / name)
    for path in (
        f"/api/v1/block/{name}",
        f"/api/v1/block/{name}/downloads",
        f"/api/v1/file/{name}",
    ):
        assert hub.send("GET", path).status == 404


def test_a_preview_of_deep_directories_is_refused(hub: LocalHub) -> None:
    """A megabyte of names has hundreds of megabytes of paths."""
    folder = hub.root / "flists" / "me"
    folder.mkdir(parents=True)
    name = b"n" * 250
    inodes = [
        Inode(ino, ino - 1, name if ino > ROOT_INO else b"/", 0, 0, 0, 0o40755, 0, 0, 0, 0, 1)
        for ino in range(ROOT_INO, ROOT_INO + 1000)
    ]
    write_flist(folder / "deep.fl", Tables(inodes, {}, {}, {}, []))
    assert hub.send("GET", "/api/v1/fl/preview/flists%2Fme%2Fdeep.fl").status == 422
