"""What is sent: bytes of a known length and strong ETag, in memory or in a file.

A file is opened once and served from that handle. If its name is given to another file meanwhile,
a running download still gets the file that it began with, under that file's ETag. If the file
itself is written to, the download ends early: it never gets the bytes of two contents.
"""

import errno
import fcntl
import hashlib
import os
import stat
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from anyio import to_thread

from common.errors import ZosError

DIGESTS_MAX = 1 << 16  # about 20 MB when it is full
NOT_CACHED = (errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
SETTLED_S = 0.1
"""A file system's clock ticks in steps of some milliseconds. A file that changed so shortly before
it is read may change again without another time."""
SETTLE_TRIES = 20
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
FileKey = tuple[int, ...]


class BeingWrittenError(ZosError):
    """The file is written to at this moment."""

    http_status = 503

    def __init__(self) -> None:
        super().__init__("this file is being written", hint="try again in a moment")
        self.http_headers = {"Retry-After": "1"}


class NotAtOnceError(ZosError):
    """The answer is not known: finding it out takes a while."""

    http_status = 503


class FilePart(NamedTuple):
    """Bytes of an open file, which the kernel can send by itself."""

    handle: int
    start: int
    size: int


class Content(Protocol):
    """Bytes that can be sent in part. Its user calls `close` once, whether it was sent or not."""

    @property
    def size(self) -> int:
        """Return the length in bytes."""

    @property
    def etag(self) -> str:
        """Return the strong ETag, with its quotes."""

    async def read(self, start: int, size: int) -> bytes:
        """Return 1 to `size` bytes from `start`, which is below `self.size`.

        Nothing is kept for the next call, so a client that reads nothing costs no memory.
        """

    def close(self) -> None:
        """Close what is open."""


class FileContent(Content, Protocol):
    """A content that has parts of files in it."""

    def part_at(self, start: int, size: int) -> FilePart | None:
        """Return at most `size` bytes from `start` as part of a file that is never written to.

        None: they must be read. Sending a part of a file must not wait for a disk.
        """


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of memory that follow one another and are shared by all requests."""

    parts: Sequence[memoryview]
    etag: str
    memory: "MemoryFile | None" = None
    offsets: Sequence[int | None] = ()  # where each piece stands in `memory`, if it does

    @property
    def size(self) -> int:
        """Return the length of all pieces."""
        return sum(map(len, self.parts))

    def find(self, start: int) -> tuple[int, int]:
        """Return the piece that `start` lies in, and its place there."""
        for number, part in enumerate(self.parts):
            if start < len(part):
                return number, start
            start -= len(part)
        raise ValueError("start lies beyond the end")

    async def read(self, start: int, size: int) -> bytes:
        """Return bytes of the piece that `start` lies in."""
        number, start = self.find(start)
        return bytes(self.parts[number][start : start + size])

    def part_at(self, start: int, size: int) -> FilePart | None:
        """Return bytes of the piece that `start` lies in, if that stands in a file."""
        number, start = self.find(start)
        offset = self.offsets[number] if self.memory else None
        if self.memory is None or offset is None:
            return None
        size = min(size, len(self.parts[number]) - start)
        return FilePart(self.memory.handle, offset + start, size)

    def close(self) -> None:
        """Do nothing: memory is not open."""


class MemoryFile:
    """Bytes in memory that the kernel can send as it sends a file; they never change."""

    def __init__(self, data: bytes) -> None:
        self.handle = os.memfd_create("content", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        weakref.finalize(self, os.close, self.handle)
        with os.fdopen(os.dup(self.handle), "wb") as stream:
            stream.write(data)
        fcntl.fcntl(self.handle, fcntl.F_ADD_SEALS, SEALS)


@dataclass(slots=True)
class Watch:
    """Notices that an open file no longer holds what its ETag was computed from."""

    key: FileKey
    digest: Callable[[int], tuple[str, FileKey]]

    def is_unchanged(self, handle: int) -> bool:
        """Return whether neither content nor inode have changed."""
        return make_key(os.fstat(handle)) == self.key

    def check(self, handle: int, etag: str) -> None:
        """Raise `OSError` if the content has changed; a rename or link changes the inode only."""
        try:
            found, key = self.digest(handle)
        except BeingWrittenError as error:
            raise OSError(errno.EIO, "the file was written to while it was sent") from error
        if f'"{found}"' != etag:
            raise OSError(errno.EIO, "the file was written to while it was sent")
        self.key = key


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A regular file, open for reading; `watch` is for one that is not written only once."""

    handle: int
    size: int
    etag: str
    watch: Watch | None = field(default=None, compare=False)

    async def read(self, start: int, size: int) -> bytes:
        """Return bytes of the file: at once if the kernel has them in memory, else in a thread."""
        wanted = min(size, self.size - start)
        if is_cached(self.handle, start, wanted):
            data = os.pread(self.handle, wanted, start)
        else:
            data = await to_thread.run_sync(os.pread, self.handle, wanted, start)
        if not data:
            raise OSError(errno.EIO, "the file became shorter while it was sent")
        # Writing changes the time first and the content then, so it is looked at after reading.
        if self.watch is not None and not self.watch.is_unchanged(self.handle):
            await to_thread.run_sync(self.watch.check, self.handle, self.etag)
        return data

    def part_at(self, start: int, size: int) -> FilePart | None:
        """Return bytes of a file that is written only once, if the kernel has them in memory.

        Of another file, what the kernel has not sent yet could still change.
        """
        size = min(size, self.size - start)
        if self.watch is not None:
            return None
        if not is_cached(self.handle, start, size):
            # The first bytes are read in a thread; the kernel fetches the others meanwhile.
            os.posix_fadvise(self.handle, start, size, os.POSIX_FADV_WILLNEED)
            return None
        return FilePart(self.handle, start, size)

    def kept(self) -> "OpenFile":
        """Return the same file as one that is written only once, as its name tells its content."""
        return OpenFile(self.handle, self.size, self.etag)

    def close(self) -> None:
        """Close the file."""
        os.close(self.handle)


def is_cached(handle: int, start: int, size: int) -> bool:
    """Return whether the page cache has the first and last of some bytes of a file.

    The kernel reads ahead, so as a rule it has those between them, too.
    """
    buffer = bytearray(1)
    try:
        return all(
            os.preadv(handle, [buffer], at, os.RWF_NOWAIT) for at in (start, start + size - 1)
        )
    except OSError as error:
        if error.errno in NOT_CACHED:
            return False
        raise


def make_key(state: os.stat_result) -> FileKey:
    """Return what changes when a file is written to."""
    times = (state.st_mtime_ns, state.st_ctime_ns)
    return (state.st_dev, state.st_ino, state.st_size, *times)


def wait_until_settled(handle: int) -> FileKey:
    """Return the key of a file that has not changed just now. Raises `BeingWrittenError`."""
    for _ in range(SETTLE_TRIES):
        state = os.fstat(handle)
        age_s = time.time() - state.st_mtime
        if not 0 <= age_s < SETTLED_S:
            return make_key(state)
        time.sleep(SETTLED_S - age_s)
    raise BeingWrittenError


def open_named(path: Path | str, etag: str) -> OpenFile:
    """Open a regular file whose name identifies its content, never through a symbolic link.

    Raises OSError.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    state = os.fstat(handle)
    if stat.S_ISREG(state.st_mode):
        return OpenFile(handle, state.st_size, etag)
    os.close(handle)
    raise FileNotFoundError(f"{path} is not a regular file")


class Opener(Protocol):
    """Opens regular files."""

    def open(self, path: Path, etag: str | None = None, /) -> OpenFile:
        """Open a file, never through a symbolic link. Raises OSError."""


class KnownFiles:
    """Opens files whose digests another opener knows; waits for nothing."""

    def __init__(self, opener: "FileOpener") -> None:
        self._opener = opener

    def open(self, path: Path, etag: str | None = None) -> OpenFile:
        """Open a file. Raises OSError, and `NotAtOnceError` if it must be read through."""
        file = open_named(path, etag) if etag else self._opener.open_known(path)
        if file is None:
            raise NotAtOnceError(f"{path} has not been read through")
        return file


class FileOpener:
    """Opens files, and remembers the digests of files that have not changed since.

    Threads may share one. A file is read through by one thread at a time; other threads that open
    it meanwhile wait for that thread's result, and other files are not held up.
    """

    def __init__(self) -> None:
        self._digests: OrderedDict[FileKey, Future[str]] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, path: Path, etag: str | None = None) -> OpenFile:
        """Open a regular file, never through a symbolic link. Raises OSError.

        `etag`, with its quotes, is for a file whose name identifies its content; without it the
        file is read through once for its SHA-256.
        """
        file = open_named(path, etag or "")
        if etag:
            return file
        try:
            digest, key = self.digest(file.handle)
        except BaseException:
            file.close()
            raise
        return OpenFile(file.handle, key[2], f'"{digest}"', Watch(key, self.digest))

    def open_known(self, path: Path | str) -> OpenFile | None:
        """Open a file whose digest is known; None: it must be read through. Raises OSError."""
        file = open_named(path, "")
        key = make_key(os.fstat(file.handle))
        known = self._digests.get(key)
        if known is None or not known.done() or known.exception():
            file.close()
            return None
        return OpenFile(file.handle, key[2], f'"{known.result()}"', Watch(key, self.digest))

    def digest(self, handle: int) -> tuple[str, FileKey]:
        """Return the SHA-256 of an open file, and its key at that time.

        It is computed by the first thread that asks for it. Raises `BeingWrittenError`.
        """
        key = make_key(os.fstat(handle))
        if key not in self._digests:
            key = wait_until_settled(handle)
        with self._lock:
            known = self._digests.get(key)
            if known is None:
                mine = self._digests[key] = Future()
                if len(self._digests) > DIGESTS_MAX:
                    self._digests.popitem(last=False)
            else:
                self._digests.move_to_end(key)
        return (known.result() if known is not None else self._compute(handle, key, mine)), key

    def _compute(self, handle: int, key: FileKey, result: "Future[str]") -> str:
        """Hash the file for all who wait for `result`; a failure is not remembered."""
        try:
            with os.fdopen(os.dup(handle), "rb") as stream:
                stream.seek(0)
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            if make_key(os.fstat(handle))[:4] != key[:4]:
                raise BeingWrittenError
        except BaseException as error:
            with self._lock:
                self._digests.pop(key, None)
            result.set_exception(error)
            raise
        result.set_result(digest)
        return digest
