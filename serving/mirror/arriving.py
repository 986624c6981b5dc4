"""An answer of the upstream while it arrives: any number of readers follow it in its file.

Readers get what has arrived, but the last byte only when the whole has been verified: a damaged or
truncated answer ends as a broken connection, never as a complete file. All but the file is used on
the event loop only.
"""

import asyncio
import contextlib
import errno
import os
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread


class Arriving:
    """The state of one answer that all its readers share."""

    def __init__(self, file: Path, size: int, etag: str, media_type: str) -> None:
        self.file = file
        self.size = size
        self.etag = etag
        self.media_type = media_type
        self._arrived = 0
        self._is_whole = False
        self._error = ""
        self._changed = asyncio.Event()

    def advance(self, arrived: int) -> None:
        """Note that the file has so many bytes."""
        self._arrived = arrived
        self._wake()

    def finish(self, error: str = "") -> None:
        """Note that the whole was verified, or why it was not."""
        self._is_whole, self._error = not error, error
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _readable(self) -> int:
        return self.size if self._is_whole else min(self._arrived, self.size - 1)

    async def wait_beyond(self, start: int) -> int:
        """Return how many bytes there are, more than `start`. Raises `OSError` if none will come.

        Whoever fetches the answer has a deadline, so this has one.
        """
        while self._readable() <= start:
            if self._error:
                raise OSError(errno.EIO, self._error)
            await self._changed.wait()
        return self._readable()

    async def wait_until_whole(self) -> None:
        """Wait until all of it was verified. Raises `OSError` if it was not."""
        while not self._is_whole:
            if self._error:
                raise OSError(errno.EIO, self._error)
            await self._changed.wait()


@dataclass(frozen=True, slots=True)
class ArrivingContent:
    """What one reader gets (a `serving.content.Content`)."""

    arriving: Arriving
    handle: int

    @property
    def size(self) -> int:
        """Return the length in bytes, as the upstream has announced it."""
        return self.arriving.size

    @property
    def etag(self) -> str:
        """Return the upstream's ETag."""
        return self.arriving.etag

    async def read(self, start: int, size: int) -> bytes:
        """Return bytes as soon as there are any."""
        end = await self.arriving.wait_beyond(start)
        return await to_thread.run_sync(os.pread, self.handle, min(size, end - start), start)

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            os.close(self.handle)
