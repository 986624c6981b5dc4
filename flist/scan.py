"""Walks a directory and describes all that is in it, always in the same order.

Entries are numbered directory by directory, sorted by name, so the entries of one directory have
consecutive numbers. Times of reading, sizes of directories and ctimes are not recorded: they say
nothing about the tree, and would make packing differ between machines.
"""

import errno
import os
import stat
from pathlib import Path
from typing import NamedTuple

from flist.errors import FlistError
from flist.memory import Stamp
from flist.model import ROOT_INO, Extent, Inode, Meta

DIRECTORY_BYTES = 4096
NO_XATTRS = frozenset((errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENOENT))


class FileJob(NamedTuple):
    """A regular file whose content is to be read."""

    ino: int
    path: bytes
    size: int
    stamp: Stamp


class Scan(NamedTuple):
    """A directory as it was found."""

    inodes: list[Inode]
    meta: dict[int, Meta]
    files: list[FileJob]


def scan_tree(root: Path) -> Scan:
    """Describe everything below `root`; raises `FlistError` for what can't be read."""
    try:
        return Walk().run(os.fsencode(root))
    except OSError as error:
        name = os.fsdecode(error.filename) if error.filename else str(root)
        raise FlistError(f"cannot read {name}: {error.strerror}") from error


class Walk:
    """One walk: what was found, and which numbers hard-linked files have."""

    def __init__(self) -> None:
        self.found = Scan([], {}, [])
        self.first_names: dict[tuple[int, int], int] = {}
        self.names: dict[int, int] = {}

    def run(self, root: bytes) -> Scan:
        """Walk, breadth first."""
        status = os.stat(root)  # noqa: PTH116 the root itself may be a link
        if not stat.S_ISDIR(status.st_mode):
            raise FlistError(f"cannot pack {os.fsdecode(root)}: it is not a directory")
        self.add(ROOT_INO, 0, b"/", root, status)
        folders = [(ROOT_INO, root)]
        for parent, path in folders:  # grows while we walk
            with os.scandir(path) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                ino = len(self.found.inodes) + 1
                self.add(ino, parent, entry.name, entry.path, status)
                if stat.S_ISDIR(status.st_mode):
                    folders.append((ino, entry.path))
        self.count_names()
        return self.found

    def add(self, ino: int, parent: int, name: bytes, path: bytes, status: os.stat_result) -> None:
        """Describe one entry."""
        mode = status.st_mode
        is_dir = stat.S_ISDIR(mode)
        first = 0
        if status.st_nlink > 1 and not is_dir:
            first = self.first_names.setdefault((status.st_dev, status.st_ino), ino)
            self.names[first] = self.names.get(first, 0) + 1
        mtime = status.st_mtime_ns
        rdev = status.st_rdev if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else 0
        size = DIRECTORY_BYTES if is_dir else status.st_size
        same_as = first if first != ino else 0
        self.found.inodes.append(
            Inode(ino, parent, name, size, status.st_uid, status.st_gid, mode, rdev, mtime, mtime,
                  same_as)
        )  # fmt: skip
        self.add_meta(ino, path, status)
        if stat.S_ISREG(mode) and size and not same_as:
            stamp = Stamp(status.st_dev, status.st_ino, size, mtime, status.st_ctime_ns)
            self.found.files.append(FileJob(ino, path, size, stamp))

    def add_meta(self, ino: int, path: bytes, status: os.stat_result) -> None:
        """Note link target, attributes and data ranges, if there are any."""
        target = os.readlink(path) if stat.S_ISLNK(status.st_mode) else None  # noqa: PTH115
        xattrs = read_xattrs(path)
        extents = None
        if stat.S_ISREG(status.st_mode) and status.st_blocks * 512 < status.st_size:
            extents = read_extents(path, status.st_size)
        if target is not None or xattrs or extents is not None:
            self.found.meta[ino] = Meta(target, xattrs, extents)

    def count_names(self) -> None:
        """Set `nlink` of hard-linked files to the number of names inside the tree."""
        inodes = self.found.inodes
        for inode in list(inodes) if self.names else ():
            count = self.names.get(inode.content_ino, 1)
            if count > 1:
                inodes[inode.ino - 1] = inode._replace(nlink=count)


def read_xattrs(path: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return the extended attributes of `path` itself, ACLs and capabilities among them."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
        if not names:
            return ()
        pairs = [(os.fsencode(n), os.getxattr(path, n, follow_symlinks=False)) for n in names]
    except OSError as error:
        if error.errno in NO_XATTRS:
            return ()
        raise
    return tuple(sorted(pairs))


def read_extents(path: bytes, size: int) -> tuple[Extent, ...] | None:
    """Return where a file has data, or None if it has no hole after all."""
    extents = []
    with open(path, "rb", buffering=0) as stream:
        handle = stream.fileno()
        end = 0
        while end < size:
            try:
                start = os.lseek(handle, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break  # nothing but a hole from here on
            end = min(os.lseek(handle, start, os.SEEK_HOLE), size)
            extents.append(Extent(start, end - start))
    if extents == [Extent(0, size)]:
        return None
    return tuple(extents)
