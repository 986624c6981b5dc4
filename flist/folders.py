"""Directories below an open one, reached through directory handles and never through a link.

Somebody may swap a directory for a link at any moment. What is done relative to a handle stays
where it belongs, and no path is ever too long. A path here is b"" for the open directory, or begins
with a slash.
"""

import os
import threading
from collections import OrderedDict
from functools import cached_property
from pathlib import Path

HANDLES = Path("/proc/self/fd")
KEPT_HANDLES = 128
FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folders:
    """The directories below `root`, which may itself be a link. Safe to use from several threads
    and after a fork. Raises `OSError` with the whole path."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = -1
        self.kept: OrderedDict[bytes, int] = OrderedDict()
        self.lock = threading.Lock()

    def __enter__(self) -> "Folders":
        self.top = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all handles."""
        with self.lock:
            for handle in (self.top, *self.kept.values()):
                os.close(handle)
            self.kept.clear()
            self.top = -1

    @cached_property
    def has_proc(self) -> bool:
        """Whether /proc shows this process's handles."""
        return HANDLES.is_dir()

    @cached_property
    def prefix(self) -> bytes:
        """The path of `root`, without a slash at its end."""
        return os.fsencode(self.root).rstrip(b"/")

    def show(self, path: bytes) -> str:
        """Return the whole path for a message."""
        return os.fsdecode(self.prefix + path) or "/"

    def open(self, path: bytes) -> int:
        """Return a handle of the directory at `path`, for the caller to close."""
        with self.lock:
            if path in self.kept:
                self.kept.move_to_end(path)
                return os.dup(self.kept[path])
            near = path
            while near and near not in self.kept:
                near = near.rpartition(b"/")[0]
            handle = self.top
            if near:
                handle = self.kept[near]
                self.kept.move_to_end(near)
            rest = path[len(near) + 1 :]
            for name in rest.split(b"/") if rest else ():
                near += b"/" + name
                handle = self.step(handle, name, near)
            return os.dup(handle)

    def step(self, parent: int, name: bytes, path: bytes) -> int:
        """Open a directory in another one and keep its handle."""
        try:
            handle = os.open(name, FLAGS, dir_fd=parent)
        except OSError as error:
            error.filename = self.show(path)
            raise
        self.kept[path] = handle
        if len(self.kept) > KEPT_HANDLES:
            os.close(self.kept.popitem(last=False)[1])
        return handle

    def opened(self, path: bytes) -> "Opened":
        """Give a handle of the directory at `path` for a block."""
        return Opened(self, path)

    def at(self, path: bytes) -> "Place":
        """Give a handle of the directory that holds `path`, and the name in there, for a block."""
        return Place(self, path)


class Near:
    """Keeps the directory of the last file open: most often it is that of the next. For one thread
    only."""

    def __init__(self, folders: Folders) -> None:
        self.folders = folders
        self.path, self.handle = b"", -1

    def open(self, path: bytes) -> int:
        """Return the handle of a directory, which stays open until the next one is asked for."""
        if self.handle < 0 or path != self.path:
            handle = self.folders.open(path)
            self.close()
            self.path, self.handle = path, handle
        return self.handle

    def close(self) -> None:
        """Close the directory."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


class Opened:
    """A directory's handle for the duration of a block."""

    __slots__ = ("folders", "handle", "path")

    def __init__(self, folders: Folders, path: bytes) -> None:
        self.folders = folders
        self.path = path

    def __enter__(self) -> int:
        self.handle = self.folders.open(self.path)
        return self.handle

    def __exit__(self, *_exc: object) -> None:
        os.close(self.handle)


class Place:
    """The handle of a directory, and a name in there, for the duration of a block.

    A class, since each file passes here and a generator would cost several times as much.
    """

    __slots__ = ("folders", "handle", "path")

    def __init__(self, folders: Folders, path: bytes) -> None:
        self.folders = folders
        self.path = path

    def __enter__(self) -> tuple[int, bytes]:
        folder, _, name = self.path.rpartition(b"/")
        self.handle = self.folders.open(folder)
        return self.handle, name

    def __exit__(self, *_exc: object) -> None:
        os.close(self.handle)
