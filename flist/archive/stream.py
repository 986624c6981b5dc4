"""The stream of an archive while it is read: counted, shown to the caller, cancelled."""

from collections.abc import Callable
from typing import BinaryIO

from flist.archive.errors import CancelledError


class Watched:
    """Reads `stream`, which need not be seekable.

    `progress` is called with the number of bytes that were read, `is_cancelled` before each read;
    if that returns true, `CancelledError` is raised.
    """

    def __init__(
        self,
        stream: BinaryIO,
        progress: Callable[[int], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self.stream = stream
        self.progress = progress
        self.is_cancelled = is_cancelled
        self.count = 0

    def check(self) -> None:
        """Raise `CancelledError` if the caller has cancelled."""
        if self.is_cancelled is not None and self.is_cancelled():
            raise CancelledError("the archive was not packed: it was cancelled")

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, none only at the end."""
        self.check()
        data = self.stream.read(size)
        self.count += len(data)
        if self.progress is not None:
            self.progress(self.count)
        return data
