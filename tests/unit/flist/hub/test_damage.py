"""A hub folder that holds damaged or strange files, as after a power cut."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.hub.app import create_app
from flist.hub.errors import AbsentError
from flist.hub.folder.library import Library
from flist.model import ROOT_INO, Inode
from flist.server.names import name_block
from tests.helpers.asgi import ask
from tests.helpers.flist.hub import LocalHub, make_hub

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
def test_a_damaged_file_of_a_plain_folder_is_not_waited_for(tmp_path: Path, damage: str) -> None:
    """What is no file is absent; what is one is sent as it is, and nodes check it."""
    app = create_app(tmp_path)
    name = name_block(BLOCK)
    for path in (tmp_path / "blocks" / name[:2] / name, tmp_path / "flists" / "me" / "a.fl"):
        path.parent.mkdir(parents=True)
        DAMAGES[damage](path)
    wanted = 200 if damage in ("half", "zeros", "other bytes") else 404
    assert ask(app, f"/blocks/{name[:2]}/{name}").status == wanted
    assert ask(app, "/me/a.fl").status == wanted
    assert ask(app, "/api/v1/fl/preview/flists/me/a.fl").status == (422 if wanted == 200 else 400)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_block_of_the_store_is_not_waited_for(hub: LocalHub, damage: str) -> None:
    name = name_block(BLOCK)
    assert hub.send("POST", "/api/v1/block", BLOCK, user="alice").status == 201
    place = hub.root / "blocks" / name[:2] / name
    place.unlink()
    DAMAGES[damage](place)
    wanted = 200 if damage in ("half", "zeros", "other bytes") else 404
    assert hub.send("GET", f"/blocks/{name[:2]}/{name}").status == wanted


def test_a_block_that_cannot_be_stored_names_no_path(hub: LocalHub) -> None:
    (hub.root / "blocks").write_text("a file")
    answer = hub.send("POST", "/api/v1/block", BLOCK, user="alice")
    assert answer.status == 500
    assert str(hub.root) not in answer.text


def test_a_block_that_is_removed_during_a_request_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = name_block(BLOCK)
    monkeypatch.setattr(Library, "block", lambda library, name: library.blocks / name)
    for path in (f"/api/v1/block/{name}", f"/api/v1/block/{name}/downloads"):
        assert ask(create_app(tmp_path), path).status == 404


def test_a_preview_of_deep_directories_is_refused(tmp_path: Path) -> None:
    """A megabyte of names has hundreds of megabytes of paths."""
    app, folder = create_app(tmp_path), tmp_path / "flists" / "me"
    folder.mkdir(parents=True)
    name = b"n" * 250
    inodes = [
        Inode(ino, ino - 1, name if ino > ROOT_INO else b"/", 0, 0, 0, 0o40755, 0, 0, 0, 0, 1)
        for ino in range(ROOT_INO, ROOT_INO + 1000)
    ]
    write_flist(folder / "deep.fl", Tables(inodes, {}, {}, {}, []))
    assert ask(app, "/api/v1/fl/preview/flists%2Fme%2Fdeep.fl").status == 422


def test_a_copy_that_cannot_be_made_leaves_no_lock(hub: LocalHub) -> None:
    with pytest.raises(AbsentError):
        hub.hub.contents.path("00" * 32)
    assert hub.hub.contents.fetching == {}
