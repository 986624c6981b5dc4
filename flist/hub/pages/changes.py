"""The differences between two versions of a flist, page by page.

Both trees are walked at once, names in order, a directory before its entries. Directories that are
the same are passed over. A page ends after some differences, or when many entries were compared,
with the path behind which the next one goes on. What is in a directory that only one version has is
not listed.
"""

import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from flist.format.diff import COMPARED
from flist.hub.pages.opened import OpenTree, flist_of
from flist.model import ROOT_INO, Inode
from flist.mount.tree import Tree

PAGE_CHANGES = 200
COMPARED_ENTRIES = 30_000
MAX_DEPTH = 4096
SAID = {
    "mode": "rights",
    "uid": "owner",
    "gid": "group",
    "size": "size",
    "rdev": "device",
    "mtime_ns": "time",
}
"""What a person reads of the properties in `COMPARED`."""


class Change(NamedTuple):
    """One difference: `kind` is "added", "removed" or "changed", in `fields`."""

    kind: str
    path: bytes
    fields: Sequence[str] = ()
    is_folder: bool = False


class Changes(NamedTuple):
    """Some differences; the next are behind `following`, empty at the end."""

    rows: Sequence[Change]
    compared: int
    following: bytes = b""


class Pair(NamedTuple):
    """A directory that both trees have. `after` is the path in it behind which to begin."""

    path: bytes
    old: int
    new: int
    after: Sequence[bytes] = ()


class Side(NamedTuple):
    """One tree at one directory: its entries by name, and the keys of their blocks by inode."""

    tree: Tree
    entries: dict[bytes, Inode]
    keys: dict[int, bytes]

    def content(self, inode: Inode) -> bytes:
        """Return the keys of an entry's blocks, joined."""
        ino = inode.content_ino
        if ino in self.keys or not inode.is_file or not inode.size:
            return self.keys.get(ino, b"")
        # A hard link whose first name is in another directory.
        return b"".join(block.key for block in flist_of(self.tree).blocks(ino))


Step = tuple[bytes, Change | None]


def compare(old: OpenTree, new: OpenTree, after: bytes = b"") -> Changes:
    """Return the differences from `old` to `new` behind the path `after` (empty: all)."""
    rows: list[Change] = []
    compared = 0
    for path, change in walk(old, new, [name for name in after.split(b"/") if name]):
        compared += 1
        if change is not None:
            rows.append(change)
        if len(rows) == PAGE_CHANGES or compared == COMPARED_ENTRIES:
            return Changes(rows, compared, path)
    return Changes(rows, compared)


def walk(old: OpenTree, new: OpenTree, after: Sequence[bytes]) -> Iterator[Step]:
    """Yield each path behind `after`, with what has changed at it."""
    stack = [list_pair(old, new, Pair(b"", ROOT_INO, ROOT_INO, after))]
    while stack:
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
        elif not isinstance(step, Pair):
            yield step
        elif len(stack) < MAX_DEPTH:  # no path is longer, unless directories contain one another
            stack.append(list_pair(old, new, step))


def list_pair(old: OpenTree, new: OpenTree, pair: Pair) -> Iterator[Step | Pair]:
    """Yield the entries of a directory, and the directories in it that both trees have."""
    digest = old.digests.get(pair.old)
    if digest is not None and digest == new.digests.get(pair.new):
        return
    before, now = open_side(old, pair.old), open_side(new, pair.new)
    first = pair.after[0] if pair.after else b""
    for name in sorted({*before.entries, *now.entries}):
        if name < first:
            continue
        path = pair.path + b"/" + name
        was, become = before.entries.get(name), now.entries.get(name)
        if name != first:
            yield path, find_change(path, before, was, now, become)
        if was and become and was.is_dir and become.is_dir:
            below = pair.after[1:] if name == first else ()
            yield Pair(path, was.ino, become.ino, below)


def open_side(tree: Tree, folder: int) -> Side:
    """Return a tree at a directory."""
    return Side(tree, tree.entries(folder), flist_of(tree).folder_keys(folder))


def find_change(
    path: bytes, before: Side, was: Inode | None, now: Side, become: Inode | None
) -> Change | None:
    """Return the difference at a path, or None."""
    if was is None or become is None:
        inode = was or become
        kind = "added" if was is None else "removed"
        return Change(kind, path, (), inode is not None and inode.is_dir)
    fields = differing(before, was, now, become)
    return Change("changed", path, fields, become.is_dir) if fields else None


def differing(before: Side, was: Inode, now: Side, become: Inode) -> Sequence[str]:
    """Return the words for the properties in which two entries differ."""
    if stat.S_IFMT(was.mode) != stat.S_IFMT(become.mode):
        return ("type",)
    # A directory's size has no meaning.
    compared = [name for name in COMPARED if name != "size" or not become.is_dir]
    fields = [SAID[name] for name in compared if getattr(was, name) != getattr(become, name)]
    if before.content(was) != now.content(become):
        fields.append("content")
    if become.is_link and before.tree.target(was) != now.tree.target(become):
        fields.append("target")
    if has_other_xattrs(before.tree, was, now.tree, become):
        fields.append("attributes")
    return fields


def has_other_xattrs(old: Tree, was: Inode, new: Tree, become: Inode) -> bool:
    """Return whether the extended attributes differ; mostly there are none at all."""
    if not old.has_xattrs and not new.has_xattrs:
        return False
    return old.meta(was).xattrs != new.meta(become).xattrs
