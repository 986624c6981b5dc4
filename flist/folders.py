"""Directories below an open one, reached through directory handles and never through a link.

Somebody may swap a directory for a link at any moment. What is done relative to a handle stays
where it belongs, and no path is ever too long. A path here is b"" for the open directory, or begins
with a slash.
"""

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
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

    def show(self, path: bytes) -> str:
        """Return the whole path for a message."""
        return os.fsdecode(os.fsencode(self.root).rstrip(b"/") + path) or "/"

    def open(self, path: bytes) -> int:
        """Return a handle of the directory at `path`, for the caller to close."""
        with self.lock:
            if path in self.kept:
                self.kept.move_to_end(path)
                return os.dup(self.kept[path])
            near = path
            while near and near not in self.kept:
                near = near.rpartition(b"/")[0]
            handle = self.kept[near] if near else self.top
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

    @contextlib.contextmanager
    def opened(self, path: bytes) -> Iterator[int]:
        """Give a handle of the directory at `path` for the block."""
        handle = self.open(path)
        try:
            yield handle
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def at(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Give a handle of the directory that holds `path`, and the name in there."""
        folder, _, name = path.rpartition(b"/")
        with self.opened(folder) as handle:
            yield handle, name
