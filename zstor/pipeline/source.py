"""A file that is being stored: it must be a regular one, and stay as it is."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from common.files import open_regular
from zstor.codec.checksum import start_checksum
from zstor.errors import ZstorError

PART = 1 << 20
Watch = Callable[[int], None]
"""Is told of bytes that are done, to show progress."""


class Source:
    """An open file, and what it was like when it was opened.

    `watch` is told how many bytes are read, except for a checksum.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.stream = open_regular(path)
        except OSError as error:
            raise ZstorError(f"cannot store {path}: {error.strerror or error}") from error
        self.watch: Watch = ignore
        self.state = self._state()
        self.size = self.state[2]

    def __enter__(self) -> "Source":
        """Return the source."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.stream.close()

    def _state(self) -> tuple[int, ...]:
        return _state_of(os.fstat(self.stream.fileno()))

    def parts(self, size: int = PART) -> Iterator[bytes]:
        """Yield the content in parts of `size` bytes; raise `ZstorError` if it changes."""
        self.stream.seek(0)
        count = 0
        while part := self.stream.read(size):
            count += len(part)
            self.watch(len(part))
            if count > self.size:
                break
            yield part
        if count != self.size or self._state() != self.state:
            raise ZstorError(
                f"cannot store {self.path}: it changed while it was read",
                hint="store it again when nothing writes to it",
            )

    def checksum(self, size: int) -> bytes:
        """Return the checksum of the content, of `size` bytes."""
        checksum = start_checksum(size)
        watch, self.watch = self.watch, ignore
        for part in self.parts():
            checksum.update(part)
        self.watch = watch
        return checksum.digest()

    def delete(self) -> bool:
        """Remove the file, unless the name has other content by now; return whether it is gone."""
        try:
            if _state_of(self.path.stat()) != self.state:
                return False
            self.path.unlink()
        except OSError as error:
            raise ZstorError(f"cannot delete {self.path}: {error.strerror or error}") from error
        return True


def ignore(_: int) -> None:
    """Watch nothing."""


def _state_of(status: os.stat_result) -> tuple[int, ...]:
    return (
        *(status.st_dev, status.st_ino, status.st_size),
        *(status.st_mtime_ns, status.st_ctime_ns),
    )
