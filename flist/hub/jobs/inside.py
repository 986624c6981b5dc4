"""Reads what a worker has left in its folder: no link is followed, and only regular files are read.

A worker that was taken over may still run and swap files, so everything is opened relative to
directories that are open already.
"""

import contextlib
import os
import stat
from collections.abc import Iterator

from flist.hub.jobs.process import WorkError

PIECE_BYTES = 1 << 20
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextlib.contextmanager
def open_folder(name: str | os.PathLike[str], above: int | None = None) -> Iterator[int]:
    """Give the handle of a directory. Raises `WorkError` if it is none."""
    try:
        handle = os.open(name, FOLDER, dir_fd=above)
    except OSError as error:
        raise WorkError(f"the worker failed: {os.fspath(name)!r} is no folder") from error
    try:
        yield handle
    finally:
        os.close(handle)


def read_inside(folder: int, name: str, limit: int) -> Iterator[bytes]:
    """Yield the content of a regular file of at most `limit` bytes. Raises `WorkError`."""
    try:
        handle = os.open(name, FILE, dir_fd=folder)
    except OSError as error:
        raise WorkError(f"the worker failed: it made no {name[:100]!r}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise WorkError(f"the worker failed: {name[:100]!r} is no file")
    with os.fdopen(handle, "rb") as stream:
        size = 0
        while piece := stream.read(PIECE_BYTES):
            size += len(piece)
            if size > limit:
                raise WorkError(f"what was made has more than {limit} bytes")
            yield piece


def read_blocks(folder: int, limit: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file in the folders of a `dir` store."""
    with open_folder("blocks", folder) as top:
        for part in names_in(top):
            with open_folder(part, top) as inner:
                for name in names_in(inner):
                    yield name, b"".join(read_inside(inner, name, limit))


def names_in(folder: int) -> list[str]:
    """Return the names in an open directory, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith("."))
