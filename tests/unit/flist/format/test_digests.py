"""Digests of directories: whatever changes in one changes its own, and no other but those above."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flist.format.digests import make_digests
from flist.format.opening import open_flist
from flist.model import Route
from flist.mount.tree import Tree
from flist.pack.pack import pack
from tests.helpers.needs import lack

FOLDERS = (b"/", b"/a", b"/a/inside", b"/b")


def make_tree(top: Path) -> None:
    """Make directories with entries of all kinds."""
    for folder in ("a/inside", "b"):
        (top / folder).mkdir(parents=True)
        for name in ("one", "two"):
            (top / folder / name).write_text(name)
            os.utime(top / folder / name, ns=(5, 5))
    (top / "a" / "inside" / "link").symlink_to("one")
    os.link(top / "a" / "inside" / "one", top / "a" / "inside" / "same")
    odd = Path(os.fsdecode(os.fsencode(top / "a" / "inside") + b"/caf\xe9"))
    odd.write_text("odd")


def read(folder: Path, top: Path) -> dict[bytes, bytes]:
    """Return the digests of the directories, by path."""
    meta = folder / "made.fl"
    pack(top, meta, [Route(0, 255, f"dir://{folder}/blocks")], is_checksum=True, processes=1)
    with open_flist(meta) as flist:
        digests, tree = make_digests(flist), Tree(flist)
        return {path: digests[tree.find(path).ino] for path in FOLDERS}


@pytest.fixture(name="top")
def prepare(tmp_path: Path) -> Iterator[Path]:
    make_tree(tmp_path / "tree")
    yield tmp_path / "tree"


def rewrite(path: Path) -> None:
    """Change a content, neither its size nor its time."""
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    path.write_text("two"[::-1])
    os.utime(path, ns=times)


def retarget(path: Path) -> None:
    """Change where a link leads, not its time."""
    times = (path.lstat().st_atime_ns, path.lstat().st_mtime_ns)
    path.unlink()
    path.symlink_to("two")
    os.utime(path, ns=times, follow_symlinks=False)


@pytest.mark.parametrize(
    "change",
    [
        lambda inside: (inside / "one").chmod(0o600),
        lambda inside: os.utime(inside / "one", ns=(6, 6)),
        lambda inside: (inside / "two").unlink(),
        lambda inside: (inside / "new").mkdir(),
        lambda inside: (inside / "two").rename(inside / "three"),
        lambda inside: rewrite(inside / "two"),
        lambda inside: retarget(inside / "link"),
        lambda inside: os.setxattr(inside / "two", "user.note", b"x"),
    ],
)
def test_a_change_changes_its_directory_and_those_above(
    tmp_path: Path, top: Path, change: Callable[[Path], object]
) -> None:
    before = read(tmp_path, top)
    assert read(tmp_path, top) == before
    try:
        change(top / "a" / "inside")
    except OSError as error:
        lack(f"the file system has no attributes: {error}")
    after = read(tmp_path, top)
    assert {path for path in FOLDERS if before[path] != after[path]} == {b"/", b"/a", b"/a/inside"}


def test_a_hard_link_shows_that_its_content_has_changed_elsewhere(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    for folder in ("a/inside", "b"):
        (top / folder).mkdir(parents=True)
    (top / "a" / "inside" / "first").write_text("two")
    os.link(top / "a" / "inside" / "first", top / "b" / "second")
    before = read(tmp_path, top)
    rewrite(top / "b" / "second")
    after = read(tmp_path, top)
    assert all(before[path] != after[path] for path in FOLDERS)


def test_what_is_added_elsewhere_changes_no_digest(tmp_path: Path, top: Path) -> None:
    before = read(tmp_path, top)
    (top / "0-first").mkdir()
    (top / "0-first" / "file").write_text("all other inodes get another number")
    after = read(tmp_path, top)
    assert [path for path in FOLDERS if before[path] != after[path]] == [b"/"]
