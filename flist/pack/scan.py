"""Walks a directory and describes everything in it, always in the same order.

Entries are numbered directory by directory, sorted by name, so the entries of one directory have
consecutive numbers. Access times, ctimes and sizes of directories are not recorded: they say
nothing about the tree, and would make flists differ between machines.
"""

import errno
import operator
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from flist.errors import FlistError
from flist.model import ROOT_INO, Extent, Inode, Meta
from flist.pack.known_files import Stamp

DIRECTORY_BYTES = 4096
MAX_EXTENTS = 1 << 18
"""A file with more data ranges (4 MiB of metadata, and readers have a limit) is recorded as one
without holes."""
BY_NAME = operator.attrgetter("name")
NO_XATTRS = frozenset((errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENOENT))


class FileJob(NamedTuple):
    """A regular file whose content is to be read."""

    ino: int
    path: bytes
    size: int
    stamp: Stamp


class Scan(NamedTuple):
    """The content of a directory."""

    inodes: list[Inode]
    meta: dict[int, Meta]
    files: list[FileJob]


class Walk:
    """One walk: what it has found, and the inode numbers of hard-linked files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.found = Scan([], {}, [])
        self.first_names: dict[tuple[int, int], int] = {}
        self.names: dict[int, int] = {}

    def run(self) -> Iterator[FileJob]:
        """Describe everything, and yield each file that has content when it is found. Raises
        `FlistError` for what cannot be read."""
        try:
            yield from self.walk(os.fsencode(self.root))
        except OSError as error:
            name = os.fsdecode(error.filename) if error.filename else str(self.root)
            raise FlistError(f"cannot read {name}: {error.strerror}") from error

    def walk(self, root: bytes) -> Iterator[FileJob]:
        """Walk breadth first; raises `OSError` and `FlistError`."""
        status = os.stat(root)  # noqa: PTH116 the root itself may be a link
        if not stat.S_ISDIR(status.st_mode):
            raise FlistError(f"cannot pack {os.fsdecode(root)}: it is not a directory")
        self.add(ROOT_INO, 0, b"/", root, status)
        folders = [(ROOT_INO, root)]
        files = self.found.files
        ino = ROOT_INO
        for parent, path in folders:  # grows during the loop
            with os.scandir(path) as listing:
                entries = sorted(listing, key=BY_NAME)
            known = len(files)
            for entry in entries:
                ino += 1
                if self.add(ino, parent, entry.name, entry.path, entry.stat(follow_symlinks=False)):
                    folders.append((ino, entry.path))
            yield from files[known:]
        self.count_names()

    def add(self, ino: int, parent: int, name: bytes, path: bytes, status: os.stat_result) -> bool:
        """Describe one entry; return whether it is a directory."""
        mode, number, device, names, uid, gid, size, *_ = status
        kind = stat.S_IFMT(mode)
        mtime = status.st_mtime_ns
        is_dir = kind == stat.S_IFDIR
        same_as = 0
        if names > 1 and not is_dir:
            first = self.first_names.setdefault((device, number), ino)
            self.names[first] = self.names.get(first, 0) + 1
            same_as = first if first != ino else 0
        rdev = status.st_rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0
        shown = DIRECTORY_BYTES if is_dir else size
        inodes, metas, files = self.found
        inodes.append(Inode(ino, parent, name, shown, uid, gid, mode, rdev, mtime, mtime, same_as))
        target = os.readlink(path) if kind == stat.S_IFLNK else None  # noqa: PTH115
        xattrs = read_xattrs(path)
        extents = None
        if kind == stat.S_IFREG and size:
            if status.st_blocks * 512 < size:
                extents = read_extents(path, size)
            if not same_as:
                stamp = (device, number, size, mtime, status.st_ctime_ns)
                files.append(FileJob(ino, path, size, stamp))
        if target is not None or xattrs or extents is not None:
            metas[ino] = Meta(target, xattrs, extents)
        return is_dir

    def count_names(self) -> None:
        """Set `nlink` of hard-linked files to the number of names inside the tree."""
        inodes = self.found.inodes
        for inode in list(inodes) if self.names else ():
            count = self.names.get(inode.content_ino, 1)
            if count > 1:
                inodes[inode.ino - 1] = inode._replace(nlink=count)


def read_xattrs(path: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return the extended attributes of `path`, which may be a link, with ACLs and capabilities."""
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
    """Return the data ranges of a file, or None if it has no hole after all, or too many."""
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
                break  # the rest is a hole
            end = min(os.lseek(handle, start, os.SEEK_HOLE), size)
            extents.append(Extent(start, end - start))
            if len(extents) > MAX_EXTENTS:
                return None
    if extents == [Extent(0, size)]:
        return None
    return tuple(extents)
