"""A line that shows progress."""

import sys
import time
from types import TracebackType

SHOWN_S = 0.2


class Line:
    """A line on the terminal that shows how far the work is; nothing where there is none."""

    def __init__(self) -> None:
        self.is_shown = sys.stderr.isatty()
        self.last = 0.0

    def __enter__(self) -> "Line":
        """Begin."""
        return self

    def show(self, what: str, count: int) -> None:
        """Show a count, a few times a second."""
        now = time.monotonic()
        if self.is_shown and now - self.last > SHOWN_S:
            self.last = now
            sys.stderr.write(f"\r\x1b[K{what}: {count}")
            sys.stderr.flush()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Remove the line."""
        if self.is_shown and self.last:
            sys.stderr.write("\r\x1b[K")
