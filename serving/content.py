"""What is sent: bytes of a known length and strong ETag, in memory or in a file.

A file is opened once and served from that handle: when its name is given to another meanwhile, a
download still gets the one it began with, under that one's ETag.
"""

import hashlib
import os
import stat
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anyio import to_thread

CHUNK_BYTES = 1 << 20
DIGESTS_MAX = 256


class Content(Protocol):
    """Bytes that can be sent in part; whoever has them calls `close` once, sent or not."""

    @property
    def size(self) -> int:
        """Return the length in bytes."""

    @property
    def etag(self) -> str:
        """Return the strong ETag, with its quotes."""

    def chunks(self, span: range) -> AsyncIterator[bytes]:
        """Yield the bytes of `span` (step 1, within the size)."""

    def close(self) -> None:
        """Let go of what is open."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of memory that follow one another, none of them copied before it is sent."""

    parts: Sequence[memoryview]
    etag: str

    @property
    def size(self) -> int:
        """Return the length of all pieces."""
        return sum(map(len, self.parts))

    async def chunks(self, span: range) -> AsyncIterator[bytes]:
        """Yield the bytes of `span`."""
        offset = 0
        for part in self.parts:
            first, last = max(span.start - offset, 0), min(span.stop - offset, len(part))
            for at in range(first, last, CHUNK_BYTES):
                yield bytes(part[at : min(at + CHUNK_BYTES, last)])
            offset += len(part)

    def close(self) -> None:
        """Do nothing: memory is not open."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A regular file, open for reading."""

    handle: int
    size: int
    etag: str

    async def chunks(self, span: range) -> AsyncIterator[bytes]:
        """Yield the bytes of `span`, read in a thread."""
        at = span.start
        while at < span.stop:
            wanted = min(CHUNK_BYTES, span.stop - at)
            data = await to_thread.run_sync(os.pread, self.handle, wanted, at)
            if not data:
                raise OSError("the file became shorter while it was sent")
            yield data
            at += len(data)

    def close(self) -> None:
        """Close the file."""
        os.close(self.handle)


class FileOpener:
    """Opens files, and remembers the digests of those that have not changed since."""

    def __init__(self) -> None:
        self._digests: dict[tuple[int, ...], str] = {}
        self._lock = threading.Lock()

    def open(self, path: Path, etag: str | None = None) -> OpenFile:
        """Open a regular file, never through a symlink. Raises OSError.

        `etag`, with its quotes, is for a file whose name tells its content; without it the file
        is read through once for its SHA-256.
        """
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        handle = os.open(path, flags)
        try:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode):
                raise FileNotFoundError(f"{path} is no regular file")
            return OpenFile(handle, state.st_size, etag or f'"{self._digest(handle, state)}"')
        except BaseException:
            os.close(handle)
            raise

    def _digest(self, handle: int, state: os.stat_result) -> str:
        """Return the SHA-256 of an open file; one thread at a time reads a file through."""
        times = (state.st_mtime_ns, state.st_ctime_ns)
        key = (state.st_dev, state.st_ino, state.st_size, *times)
        with self._lock:
            if key not in self._digests:
                if len(self._digests) >= DIGESTS_MAX:
                    self._digests.clear()
                with os.fdopen(os.dup(handle), "rb") as stream:
                    self._digests[key] = hashlib.file_digest(stream, "sha256").hexdigest()
            return self._digests[key]
