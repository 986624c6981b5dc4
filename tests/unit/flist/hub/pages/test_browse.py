"""Directories, searches and differences, page by page, in both formats."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flist.format import database
from flist.format.diff import compare as compare_all
from flist.format.legacy.flist import LegacyFlist
from flist.format.legacy.records import Decoded
from flist.format.nodes import load_nodes
from flist.format.opening import AnyFlist, open_flist
from flist.hub.pages import browse, changes
from flist.hub.pages.browse import list_folder, search
from flist.hub.pages.opened import OpenFlists, OpenTree, flist_of
from flist.model import ROOT_INO, Inode, Route
from flist.mount.tree import Tree
from flist.pack.pack import pack

NAMES = [f"name-{number:02}" for number in range(25)]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "PAGE_ENTRIES", 10)
    monkeypatch.setattr(changes, "PAGE_CHANGES", 3)


def make(folder: Path, tree: Path, name: str) -> Path:
    """Pack a directory."""
    meta = folder / name
    routes = [Route(0, 255, f"dir://{folder}/blocks")]
    pack(tree, meta, routes, is_checksum=True, processes=1)
    return meta


def as_legacy(flist: AnyFlist) -> LegacyFlist:
    """Return what a flist holds as one of the older format."""
    inodes = {inode.ino: inode for inode in flist.inodes()}
    children: dict[int, list[Inode]] = {}
    for inode in inodes.values():
        if inode.ino != ROOT_INO:
            children.setdefault(inode.parent, []).append(inode)
    blocks = {ino: flist.blocks(ino) for ino in inodes}
    return LegacyFlist(flist.path, Decoded(inodes, children, blocks, flist.all_meta()), {})


@pytest.fixture(name="tree", params=["fl", "flist"])
def make_tree(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tree]:
    top = tmp_path / "tree"
    for folder in (top / "zz-folder" / "below", top / "aa-folder"):
        folder.mkdir(parents=True)
    for name in NAMES:
        (top / name).write_text(name)
    (top / "zz-folder" / "below" / "NAME-50%").write_text("x")
    (top / "link").symlink_to("zz-folder/below")
    with open_flist(make(tmp_path, top, "a.fl")) as flist:
        yield Tree(flist if request.param == "fl" else as_legacy(flist))


def read_all(tree: Tree) -> list[bytes]:
    """Return the names of the root's entries, from all its pages."""
    names: list[bytes] = []
    after = 0
    while True:
        page = list_folder(tree, b"/", tree.inode(ROOT_INO), after)
        assert len(page.rows) <= 10 and page.total == 28
        names += [row.name for row in page.rows]
        if not page.following:
            return names
        after = page.following


def test_all_entries_are_on_some_page_directories_first(tree: Tree) -> None:
    wanted = ["aa-folder", "zz-folder", "link", *NAMES]
    assert read_all(tree) == [name.encode() for name in wanted]
    page = list_folder(tree, b"/", tree.inode(ROOT_INO), 0)
    link = next(row for row in page.rows if row.kind == "link")
    assert (link.target, link.target_path) == (b"zz-folder/below", b"/zz-folder/below")


def test_a_large_directory_is_never_read_as_a_whole(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(flist_of(tree), LegacyFlist):
        return  # it is in memory
    monkeypatch.setattr(database, "LARGE_FOLDER", 20)
    monkeypatch.setattr(database.FlistFile, "children", None)
    assert sorted(read_all(tree)) == sorted(
        name.encode() for name in ["aa-folder", "zz-folder", "link", *NAMES]
    )
    assert not list_folder(tree, b"/", tree.inode(ROOT_INO), 0).is_sorted


def test_a_search_finds_names_anywhere_with_their_paths(tree: Tree) -> None:
    found: list[bytes] = []
    after = 0
    while True:
        page = search(tree, "name-", after)
        found += [row.path for row in page.rows]
        if not page.following:
            break
        after = page.following
    assert sorted(found) == sorted(
        [b"/zz-folder/below/NAME-50%", *(f"/{n}".encode() for n in NAMES)]
    )
    assert [row.path for row in search(tree, "0%", 0).rows] == [b"/zz-folder/below/NAME-50%"]
    for text in ("%", "_", "\\", "nothing", "\0", "'"):
        rows = search(tree, text, 0).rows
        assert [row.name for row in rows] == ([b"NAME-50%"] if text == "%" else [])


def test_directories_that_contain_one_another_have_no_path() -> None:
    def make_inode(ino: int, parent: int, name: bytes, mode: int) -> Inode:
        return Inode(ino, parent, name, 0, 0, 0, mode, 0, 0, 0)

    inodes = {
        1: make_inode(1, 0, b"", 0o40755),
        2: make_inode(2, 3, b"two", 0o40755),
        3: make_inode(3, 2, b"three", 0o40755),
        4: make_inode(4, 3, b"lost", 0o100644),
        5: make_inode(5, 99, b"lost-too", 0o100644),
        6: make_inode(6, 1, b"lost-not", 0o100644),
    }
    decoded = Decoded(inodes, {}, {}, {})
    tree = Tree(LegacyFlist(Path("x"), decoded, {}))
    assert [row.path for row in search(tree, "lost", 0).rows] == [b"/lost-not"]


def change_tree(top: Path) -> None:
    """Change some of everything."""
    (top / "name-03").write_text("has changed")
    (top / "name-04").unlink()
    (top / "name-05").chmod(0o600)
    (top / "name-06").unlink()
    (top / "name-06").mkdir()
    (top / "name-06" / "inside").write_text("x")
    (top / "new").write_text("new")
    (top / "link").unlink()
    (top / "link").symlink_to("elsewhere")
    (top / "zz-folder" / "below" / "deep").write_text("x")
    os.utime(top / "name-07", ns=(1, 1))


@pytest.mark.parametrize("budget", [1, 2, 3, 1000])
def test_the_differences_are_those_of_the_command_on_pages_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    monkeypatch.setattr(changes, "COMPARED_ENTRIES", budget)
    top = tmp_path / "tree"
    (top / "zz-folder" / "below").mkdir(parents=True)
    for name in NAMES:
        (top / name).write_text(name)
    (top / "link").symlink_to("zz-folder")
    old_meta = make(tmp_path, top, "old.fl")
    change_tree(top)
    new_meta = make(tmp_path, top, "new.fl")
    with open_flist(old_meta) as old, open_flist(new_meta) as new:
        wanted = {
            change.path: {"+": "added", "-": "removed", "M": "changed"}[change.kind]
            for change in compare_all(load_nodes(old), load_nodes(new))
        }
        found: dict[bytes, changes.Change] = {}
        after = b""
        while True:
            page = changes.compare(OpenTree(old), OpenTree(new), after)
            assert len(page.rows) <= 3 and page.compared <= budget
            assert not found.keys() & {row.path for row in page.rows}
            found |= {row.path: row for row in page.rows}
            after = page.following
            if not after:
                break
    del wanted[b"/name-06/inside"]  # its directory is not of the older version
    del wanted[b"/"]
    assert {path: row.kind for path, row in found.items()} == wanted
    assert found[b"/name-03"].fields == ["size", "time", "content"]
    assert found[b"/name-05"].fields == ["rights"]
    assert found[b"/name-06"].fields == ("type",)
    assert "target" in found[b"/link"].fields
    assert found[b"/name-07"].fields == ["time"]


def test_directories_that_are_the_same_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "tree"
    for folder in ("a", "b", "c/d"):
        (top / folder).mkdir(parents=True)
        for name in NAMES:
            (top / folder / name).write_text(name)
    metas = [make(tmp_path, top, "old.fl")]
    before = (top / "c/d/name-07").stat()
    (top / "c/d/name-07").write_text("name-77")
    os.utime(top / "c/d/name-07", ns=(before.st_atime_ns, before.st_mtime_ns))
    metas.append(make(tmp_path, top, "new.fl"))
    opened: list[bytes] = []
    entries = Tree.entries

    def note(tree: Tree, ino: int) -> dict[bytes, Inode]:
        opened.append(tree.inode(ino).name)
        return entries(tree, ino)

    monkeypatch.setattr(Tree, "entries", note)
    with open_flist(metas[0]) as old, open_flist(metas[1]) as new:
        page = changes.compare(OpenTree(old), OpenTree(new))
        same = changes.compare(OpenTree(old), OpenTree(old))
        assert {b"a", b"b"}.isdisjoint(opened)
        older = changes.compare(OpenTree(as_legacy(old)), OpenTree(new))
    assert [(row.path, row.fields) for row in page.rows] == [(b"/c/d/name-07", ["content"])]
    assert page.rows == older.rows
    assert same.compared == 0


def test_open_flists_are_shared_and_closed_when_there_are_too_many(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    top.mkdir()
    meta = make(tmp_path, top, "a.fl")
    opened: list[AnyFlist] = []

    def open_one() -> AnyFlist:
        opened.append(open_flist(meta))
        return opened[-1]

    shelf = OpenFlists(kept=2)
    for digest in ("a", "a", "b", "a"):
        with shelf.use(digest, open_one) as tree:
            tree.inode(ROOT_INO)
    assert len(opened) == 2
    with shelf.use("a", open_one), shelf.use("b", open_one), shelf.use("c", open_one):
        assert len(shelf.leases) == 3
    assert list(shelf.leases) == ["a", "b"]  # only the last one was not used any more
    with pytest.raises(ValueError, match="no"), shelf.use("d", fail):
        raise AssertionError
    assert "d" not in shelf.leases
    del shelf, tree


def fail() -> AnyFlist:
    raise ValueError("no")
