"""The entries of a flist, page by page: a request reads one page, however large the flist is."""

from collections.abc import Sequence
from typing import NamedTuple

from flist.hub.pages.names import resolve
from flist.hub.pages.opened import flist_of
from flist.hub.pages.words import say_extent, say_kind, say_mode, say_short_time
from flist.model import ROOT_INO, Inode
from flist.mount.tree import Tree

PAGE_ENTRIES = 200
MAX_DEPTH = 4096
"""A flist whose directories contain one another has no path to its entries."""


class Row(NamedTuple):
    """What a page says of one entry; `target_path` is where a link leads."""

    path: bytes
    name: bytes
    kind: str
    size: str
    mode: str
    owner: str
    changed: str
    target: bytes = b""
    target_path: bytes = b""


class Page(NamedTuple):
    """Some entries, how many there are in all, and after which inode the next page begins."""

    rows: Sequence[Row]
    total: int
    following: int = 0
    is_sorted: bool = True


def list_folder(tree: Tree, path: bytes, folder: Inode, after: int) -> Page:
    """Return the entries of a directory after the one with inode number `after` (0: the first).

    Directories come first, sorted by name. The entries of a very large directory come in the order
    in which they were packed.
    """
    flist = flist_of(tree)
    is_large = flist.is_large(folder.ino)
    if is_large:
        found = flist.entries_after(folder.ino, after, PAGE_ENTRIES + 1)
    else:
        every = sorted(tree.entries(folder.ino).values(), key=sort_key)
        found = after_ino(every, after)[: PAGE_ENTRIES + 1]
    base = path.rstrip(b"/") + b"/"
    rows = [describe(tree, base + inode.name, inode) for inode in found[:PAGE_ENTRIES]]
    following = found[PAGE_ENTRIES - 1].ino if len(found) > PAGE_ENTRIES else 0
    return Page(rows, flist.count_entries(folder.ino), following, not is_large)


def sort_key(inode: Inode) -> tuple[bool, bytes]:
    """Return the place of an entry in its directory."""
    return not inode.is_dir, inode.name


def after_ino(inodes: list[Inode], after: int) -> list[Inode]:
    """Return what follows the inode with a number; all if it is not there."""
    for at, inode in enumerate(inodes):
        if inode.ino == after:
            return inodes[at + 1 :]
    return inodes


def describe(tree: Tree, path: bytes, inode: Inode) -> Row:
    """Return what a page says of an entry."""
    target = tree.target(inode) if inode.is_link else b""
    return Row(
        path,
        inode.name if inode.ino != ROOT_INO else b"/",
        say_kind(inode.mode),
        say_extent(inode),
        say_mode(inode.mode),
        f"{inode.uid}:{inode.gid}",
        say_short_time(inode.mtime_ns),
        target,
        resolve(path.rpartition(b"/")[0], target) if target else b"",
    )


def search(tree: Tree, text: str, after: int) -> Page:
    """Return the entries whose name has `text` in it, after inode number `after`; without a total.

    What no path leads to is left out.
    """
    flist = flist_of(tree)
    found = flist.find_names(text, after, PAGE_ENTRIES + 1)
    rows = []
    known: dict[int, bytes | None] = {ROOT_INO: b""}
    for inode in found[:PAGE_ENTRIES]:
        folder = find_path(tree, inode.parent, known)
        if folder is not None:
            rows.append(describe(tree, folder + b"/" + inode.name, inode))
    following = found[PAGE_ENTRIES - 1].ino if len(found) > PAGE_ENTRIES else 0
    return Page(rows, 0, following)


def find_path(tree: Tree, ino: int, known: dict[int, bytes | None]) -> bytes | None:
    """Return the path of a directory, None if none leads to it. `known` has those found before."""
    way: list[Inode] = []
    seen: set[int] = set()
    while ino not in known and len(way) < MAX_DEPTH and ino not in seen:
        seen.add(ino)
        try:
            folder = tree.inode(ino)
        except FileNotFoundError:
            break
        way.append(folder)
        ino = folder.parent
    path = known.get(ino)
    for folder in reversed(way):
        path = None if path is None else path + b"/" + folder.name
        known[folder.ino] = path
    return path
