"""What an unpack has to restore: every entry of a flist with its path, by kind."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from flist.errors import FormatError
from flist.folders import Folders
from flist.format.checker import MAX_PATHS_BYTES, count_path, load_tree
from flist.format.opening import AnyFlist
from flist.model import NO_META, ROOT_INO, Block, Inode, Meta

BATCH_BYTES = 4 << 20
OPEN_BYTES = 4096
"""Making a file costs about as much as writing this many bytes."""
LARGE_BYTES = 256 << 10


class Entry(NamedTuple):
    """One entry of a flist, and the path where it belongs."""

    path: bytes
    inode: Inode
    meta: Meta
    blocks: Sequence[Block] = ()


class Plan(NamedTuple):
    """The entries of a flist. A directory comes before those in it. `names` are further names of
    other entries: each with the path of the first name. `others` are links and special files."""

    folders: list[Entry]
    files: list[Entry]
    names: list[tuple[bytes, Entry]]
    others: list[Entry]

    def size(self) -> int:
        """Return the number of entries."""
        return len(self.folders) + len(self.files) + len(self.names) + len(self.others)


def make_plan(flist: AnyFlist, root: bytes) -> Plan:
    """Return the entries to restore below `root`; raises `FormatError`."""
    tables = load_tree(flist)
    metas, blocks = tables.meta, tables.blocks
    children: dict[int, list[Inode]] = {}
    for inode in tables.inodes:
        if inode.ino != ROOT_INO:
            children.setdefault(inode.parent, []).append(inode)
    top = flist.inode(ROOT_INO)
    assert top is not None
    plan = Plan([Entry(root, top, metas.get(ROOT_INO, NO_META))], [], [], [])
    paths: dict[int, bytes] = {}
    left = MAX_PATHS_BYTES
    for folder in plan.folders:  # grows during the loop
        for inode in unique_names(children.get(folder.inode.ino, ()), folder.path):
            path = folder.path + b"/" + inode.name
            left = count_path(left, path)
            paths[inode.ino] = path
            meta = metas.get(inode.content_ino, NO_META)
            add_entry(plan, Entry(path, inode, meta, blocks.get(inode.ino, ())), paths)
    return plan


def add_entry(plan: Plan, entry: Entry, paths: dict[int, bytes]) -> None:
    """Add an entry to the list of its kind. `paths` has those of the entries so far, by inode."""
    inode = entry.inode
    if inode.is_dir:
        plan.folders.append(entry)
    elif inode.same_as:
        if inode.same_as not in paths:
            raise FormatError(f"inode {inode.ino} is another name of an inode that comes later")
        plan.names.append((paths[inode.same_as], entry))
    elif inode.is_file:
        plan.files.append(entry)
    else:
        plan.others.append(entry)


def unique_names(children: Sequence[Inode], folder: bytes) -> Iterator[Inode]:
    """Yield the entries of one directory; raises `FormatError` if two have the same name: the
    second would overwrite the first."""
    seen = set()
    for inode in children:
        if inode.name in seen:
            raise FormatError(f"{os.fsdecode(folder)} holds {inode.name!r} twice")
        seen.add(inode.name)
        yield inode


def make_batches(files: Sequence[Entry]) -> list[list[Entry]]:
    """Return the files in batches of about `BATCH_BYTES`.

    Large files come first, the largest at the front, so that all processes end together. The others
    are in the order of their paths: most have the directory of the file before.
    """
    batches: list[list[Entry]] = []
    left = 0
    for entry in sorted(files, key=order_of):
        if left <= 0:
            batches.append([])
            left = BATCH_BYTES
        batches[-1].append(entry)
        left -= entry.inode.size + OPEN_BYTES
    return batches


def order_of(entry: Entry) -> tuple[int, bytes]:
    """Return where a file stands among all: by size if it is large, and by path."""
    size = entry.inode.size
    return (-size if size >= LARGE_BYTES else 0), entry.path


def find_shared(files: Sequence[Entry], folders: Folders) -> frozenset[int]:
    """Return the inode numbers of files that share their file on disk with an earlier one: hard
    links of an older version that this one does not have."""
    seen = set()
    shared = set()
    for entry in files:
        with contextlib.suppress(OSError), folders.at(entry.path) as (folder, name):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if status.st_nlink > 1:
                place = status.st_dev, status.st_ino
                if place in seen:
                    shared.add(entry.inode.ino)
                seen.add(place)
    return frozenset(shared)
