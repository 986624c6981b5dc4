"""Files that grow at their end, and the few calls that touch a disk.

A file is written in two steps: `append` takes bytes into memory, `write_out` puts all of them on
the disk. `drop` forgets what was not written out and cuts the file back, so that after an error
nothing half-written stays.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from zdb.errors import DamagedError, ZdbError
from zdb.values import MAX_FILE_SIZE

MAX_BUFFERS = 1024  # of one writev (IOV_MAX)

Buffer = bytes | memoryview


class Disk:
    """The calls that may fail with the disk; a test puts its own in their place."""

    def open(self, path: Path, create: bool, writable: bool) -> int:
        """Return a descriptor of a file. A link is refused, and opening a pipe does not block."""
        how = (os.O_RDWR if writable else os.O_RDONLY) | (os.O_CREAT | os.O_EXCL if create else 0)
        return os.open(path, how | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)

    pread = staticmethod(os.pread)
    pwritev = staticmethod(os.pwritev)
    truncate = staticmethod(os.ftruncate)
    sync = staticmethod(os.fdatasync)


class Handles:
    """Open descriptors: at most `capacity`, the one opened first is closed for a new one."""

    def __init__(self, disk: Disk, capacity: int = 256, writable: bool = True) -> None:
        self.disk = disk
        self.capacity = capacity
        self.writable = writable
        self._open: dict[LogFile, None] = {}

    def open(self, file: "LogFile", create: bool = False) -> int:
        """Open a file; raise `ZdbError` for what is no regular file or not the same as before."""
        while len(self._open) >= self.capacity:
            next(iter(self._open)).close()
        handle = self.disk.open(file.path, create, self.writable)
        try:
            check_file(os.fstat(handle), file)
        except BaseException:
            os.close(handle)
            raise
        self._open[file] = None
        return handle

    def forget(self, file: "LogFile") -> None:
        """Note that a file is closed."""
        self._open.pop(file, None)

    def close(self) -> None:
        """Close all files."""
        for file in list(self._open):
            file.close()


class LogFile:
    """One file: `length` bytes are on the disk, `end` counts those in memory, too."""

    __slots__ = ("_handle", "_handles", "end", "identity", "length", "path", "pending")

    def __init__(self, path: Path, handles: Handles) -> None:
        self.path = path
        self.length = self.end = 0
        self.pending: dict[int, bytes] = {}  # by offset, in order
        self.identity: tuple[int, int] | None = None
        self._handles = handles
        self._handle = -1

    @property
    def handle(self) -> int:
        """Return the open descriptor of the file."""
        if self._handle < 0:
            self._handle = self._handles.open(self)
        return self._handle

    def create(self, head: bytes) -> None:
        """Make the file, with its header in memory."""
        self._handle = self._handles.open(self, create=True)
        self.append(head)

    def open(self) -> None:
        """Open the file and learn its length."""
        self.length = self.end = os.fstat(self.handle).st_size

    def close(self) -> None:
        """Close the descriptor; the next use opens it again."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        self._handles.forget(self)

    def append(self, blob: bytes) -> int:
        """Add bytes at the end and return where they begin."""
        offset = self.end
        self.pending[offset] = blob
        self.end = offset + len(blob)
        return offset

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at `offset`, fewer at the end of the file."""
        if offset >= self.length:
            blob = self.pending.get(offset)
            if blob is not None:
                return blob[:size]
            return self._all_pending()[offset - self.length :][:size]
        blob = self._handles.disk.pread(self.handle, size, offset)
        if len(blob) < size and self.pending:
            blob += self._all_pending()[: size - len(blob)]
        return blob

    def _all_pending(self) -> bytes:
        return b"".join(self.pending.values())

    def write_out(self) -> None:
        """Write what is in memory; after an `OSError` it is still there."""
        buffers = list(self.pending.values())
        offset = self.length
        if len(buffers) <= MAX_BUFFERS:
            done = self._handles.disk.pwritev(self.handle, buffers, offset)
            if done == self.end - offset:
                return
        for at in range(0, len(buffers), MAX_BUFFERS):
            offset += self._write(buffers[at : at + MAX_BUFFERS], offset)

    def _write(self, buffers: Sequence[Buffer], offset: int) -> int:
        total = sum(map(len, buffers))
        done = self._handles.disk.pwritev(self.handle, buffers, offset)
        rest = memoryview(b"".join(buffers))[done:] if done < total else memoryview(b"")
        while rest:
            count = self._handles.disk.pwritev(self.handle, [rest], offset + done)
            rest, done = rest[count:], done + count
        return total

    def settle(self) -> None:
        """Note that what was in memory is on the disk."""
        self.length = self.end
        self.pending.clear()

    def drop(self) -> None:
        """Forget what is in memory and cut off what may have been written of it."""
        self.end = self.length
        self.pending.clear()
        self._handles.disk.truncate(self.handle, self.length)

    def cut(self, size: int) -> None:
        """Cut the file back to `size` bytes."""
        self._handles.disk.truncate(self.handle, size)
        self.length = self.end = size

    def overwrite(self, offset: int, blob: bytes) -> None:
        """Write over bytes that are on the disk already."""
        self._write([blob], offset)

    def sync(self) -> None:
        """Return when the file survives a power failure."""
        self._handles.disk.sync(self.handle)


def check_file(found: os.stat_result, file: LogFile) -> None:
    """Raise if what was opened can't be the file of a namespace."""
    if not stat.S_ISREG(found.st_mode):
        raise ZdbError(
            f"cannot use {file.path}: not a regular file",
            hint="move it away; `zos zdb check` says what is missing then",
        )
    if found.st_size > MAX_FILE_SIZE:
        raise ZdbError(f"cannot use {file.path}: longer than 4 GiB", hint="move it away")
    identity = (found.st_dev, found.st_ino)
    if file.identity not in (None, identity):
        raise DamagedError(f"cannot use {file.path}: it was replaced while it was in use")
    file.identity = identity


def reason(error: OSError | ZdbError) -> str:
    """Return what went wrong, in a few words."""
    return (isinstance(error, OSError) and error.strerror) or str(error)
