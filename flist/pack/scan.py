"""Walks a directory and describes everything in it, always in the same order.

Entries are numbered directory by directory, sorted by name, so the entries of one directory have
consecutive numbers. Access times, ctimes and sizes of directories are not recorded: they say
nothing about the tree, and would make flists differ between machines.
"""

import errno
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from flist.errors import FlistError
from flist.folders import Folders
from flist.model import ROOT_INO, Extent, Inode, Meta
from flist.pack.choice import Choice
from flist.pack.known_files import Stamp

DIRECTORY_BYTES = 4096
MAX_EXTENTS = 1 << 18
"""A file with more data ranges (4 MiB of metadata, and readers have a limit) is recorded as one
without holes."""
NO_XATTRS = frozenset((errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENOENT))


class FileJob(NamedTuple):
    """A regular file whose content is to be read."""

    ino: int
    path: bytes
    size: int
    stamp: Stamp


class Folder(NamedTuple):
    """A directory to list: its inode number, path and device."""

    ino: int
    path: bytes
    device: int


class Scan(NamedTuple):
    """The content of a directory. `vanished` are the inodes of directories that were removed after
    they had been listed, `notes` says what was left out."""

    inodes: list[Inode]
    meta: dict[int, Meta]
    files: list[FileJob]
    vanished: set[int]
    notes: list[str]


class Walk:
    """One walk below an open directory: what it has found, and the inode numbers of hard-linked
    files."""

    def __init__(self, folders: Folders, choice: Choice) -> None:
        self.folders = folders
        self.choice = choice
        self.found = Scan([], {}, [], set(), [])
        self.first_names: dict[tuple[int, int], int] = {}
        self.names: dict[int, int] = {}
        self.path = b""

    def run(self) -> Iterator[FileJob]:
        """Describe everything, and yield each file that has content when it is found. Raises
        `FlistError` for what cannot be read."""
        try:
            yield from self.walk()
        except OSError as error:
            name = self.folders.show(self.path)
            raise FlistError(
                f"cannot read {name}: {error.strerror}", hint="--exclude leaves it out"
            ) from error

    def walk(self) -> Iterator[FileJob]:
        """Walk breadth first; raises `OSError` and `FlistError`."""
        top = self.folders.top
        status = os.fstat(top)
        self.add(Folder(0, b"", status.st_dev), ROOT_INO, b"/", status, Source(top, None))
        pending = [Folder(ROOT_INO, b"", status.st_dev)]
        files = self.found.files
        for folder in pending:  # grows during the loop
            self.path = folder.path
            known = len(files)
            try:
                handle = self.folders.open(folder.path)
            except (FileNotFoundError, NotADirectoryError):
                self.note(folder.path, "it vanished")
                self.found.vanished.add(folder.ino)
                continue
            try:
                pending += self.list_folder(folder, handle)
            finally:
                os.close(handle)
            yield from files[known:]
        self.count_names()

    def note(self, path: bytes, reason: str) -> None:
        """Note that something is left out."""
        self.found.notes.append(f"{self.folders.show(path)}: {reason}")

    def list_folder(self, folder: Folder, handle: int) -> list[Folder]:
        """Describe the entries of a directory; return those that are directories to list."""
        place = os.fstat(handle)
        with os.scandir(handle) as listing:
            entries = sorted((os.fsencode(entry.name), entry) for entry in listing)
        inner = []
        for name, entry in entries:
            path = self.path = folder.path + b"/" + name
            if self.choice.patterns and self.choice.excludes(path):
                continue
            reason = self.choice.own.get((place.st_dev, place.st_ino, name))
            if reason is not None:
                self.note(path, f"it is {reason}")
                continue
            ino = len(self.found.inodes) + 1
            try:
                status = entry.stat(follow_symlinks=False)
                is_dir = self.add(folder, ino, name, status, Source(handle, name))
            except FileNotFoundError:
                self.note(path, "it vanished")
                continue
            if is_dir and not self.is_foreign(path, status.st_dev, folder.device):
                inner.append(Folder(ino, path, status.st_dev))
        return inner

    def is_foreign(self, path: bytes, device: int, parent: int) -> bool:
        """Return whether to leave out what is in a directory, because of its file system."""
        reason = self.choice.foreign(device, parent)
        if reason:
            self.note(path, f"what is in it, for it is a {reason} file system")
        return reason is not None

    def add(
        self, folder: Folder, ino: int, name: bytes, status: os.stat_result, source: "Source"
    ) -> bool:
        """Describe one entry of a directory; return whether it is a directory. Adds nothing if it
        raises."""
        mode, number, device, names, uid, gid, size, *_ = status
        kind = stat.S_IFMT(mode)
        mtime = status.st_mtime_ns
        is_dir = kind == stat.S_IFDIR
        target = source.target() if kind == stat.S_IFLNK else None
        xattrs = source.xattrs(self.folders)
        extents = None
        if kind == stat.S_IFREG and size and status.st_blocks * 512 < size:
            extents = source.extents(size)
        same_as = 0
        if names > 1 and not is_dir:
            first = self.first_names.setdefault((device, number), ino)
            self.names[first] = self.names.get(first, 0) + 1
            same_as = first if first != ino else 0
        rdev = status.st_rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0
        shown = DIRECTORY_BYTES if is_dir else size
        inode = Inode(ino, folder.ino, name, shown, uid, gid, mode, rdev, mtime, mtime, same_as)
        self.found.inodes.append(inode)
        if kind == stat.S_IFREG and size and not same_as:
            stamp = (device, number, size, mtime, status.st_ctime_ns)
            self.found.files.append(FileJob(ino, folder.path + b"/" + name, size, stamp))
        if target is not None or xattrs or extents is not None:
            self.found.meta[ino] = Meta(target, xattrs, extents)
        return is_dir

    def count_names(self) -> None:
        """Set `nlink` of hard-linked files to the number of names inside the tree."""
        inodes = self.found.inodes
        for inode in list(inodes) if self.names else ():
            count = self.names.get(inode.content_ino, 1)
            if count > 1:
                inodes[inode.ino - 1] = inode._replace(nlink=count)


class Source(NamedTuple):
    """Where to read about an entry: an open directory and the name in it, or None for the directory
    itself. No link is followed."""

    folder: int
    name: bytes | None

    def target(self) -> bytes:
        """Return the target of a link."""
        assert self.name is not None
        return os.readlink(self.name, dir_fd=self.folder)

    def xattrs(self, folders: Folders) -> tuple[tuple[bytes, bytes], ...]:
        """Return the extended attributes, with ACLs and capabilities."""
        if self.name is None:
            return read_xattrs(self.folder)
        if folders.has_proc:  # the calls take no directory handle
            return read_xattrs(b"/proc/self/fd/%d/%s" % (self.folder, self.name))
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            mode = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False).st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                return ()
            handle = os.open(self.name, flags, dir_fd=self.folder)
        except PermissionError:
            return ()
        try:
            return read_xattrs(handle)
        finally:
            os.close(handle)

    def extents(self, size: int) -> tuple[Extent, ...] | None:
        """Return the data ranges of a file, or None if it has no hole after all, or too many."""
        assert self.name is not None
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        handle = os.open(self.name, flags, dir_fd=self.folder)
        try:
            return read_extents(handle, size)
        finally:
            os.close(handle)


def read_xattrs(place: int | bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return the extended attributes of an open file or directory, or of a path that may end in a
    link."""
    is_open = isinstance(place, int)
    try:
        names = os.listxattr(place, follow_symlinks=is_open)
        if not names:
            return ()
        pairs = [(os.fsencode(n), os.getxattr(place, n, follow_symlinks=is_open)) for n in names]
    except OSError as error:
        if error.errno in NO_XATTRS:
            return ()
        raise
    return tuple(sorted(pairs))


def read_extents(handle: int, size: int) -> tuple[Extent, ...] | None:
    """Return the data ranges of an open file, or None if it has no hole after all, or too many."""
    extents = []
    end = 0
    while end < size:
        try:
            start = os.lseek(handle, end, os.SEEK_DATA)
            end = min(os.lseek(handle, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break  # the rest is a hole
        extents.append(Extent(start, end - start))
        if len(extents) > MAX_EXTENTS:
            return None
    if extents == [Extent(0, size)]:
        return None
    return tuple(extents)
