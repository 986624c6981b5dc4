"""What the commands share: the hub they work on, and a line that shows progress."""

import contextlib
import sys
import time
from collections.abc import Iterator
from types import TracebackType

from common.errors import UsageError
from flist.hub.library.hub import Hub, open_hub
from flist.hub.settings import HubSettings
from flist.hub.state.opening import has_state

SHOWN_S = 0.2


@contextlib.contextmanager
def opened(settings: HubSettings) -> Iterator[Hub]:
    """Give the hub of the settings; raises `UsageError` for a plain folder."""
    if not has_state(settings.root, settings.database):
        raise UsageError(
            f"cannot use {settings.root}: it is no hub with accounts",
            hint=f"`zos hub init {settings.root}` makes one of it",
        )
    hub = open_hub(settings)
    try:
        yield hub
    finally:
        hub.close()


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
