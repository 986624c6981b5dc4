"""Progress on stderr, for a person at a terminal; nothing is imported or shown elsewhere."""

import sys
from types import TracebackType
from typing import Any


class ByteProgress:
    """A bar of bytes. `update(done, total)` may be called at any rate."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.bar: Any = None
        self.task: Any = None

    def __enter__(self) -> "ByteProgress":
        if sys.stderr.isatty():
            try:
                from rich.console import Console
                from rich.progress import (
                    BarColumn,
                    DownloadColumn,
                    Progress,
                    TextColumn,
                    TimeRemainingColumn,
                )
            except ImportError:
                return self  # a node has no rich
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(),
                       TimeRemainingColumn())  # fmt: skip
            self.bar = Progress(*columns, console=Console(stderr=True), auto_refresh=False)
            self.bar.start()
            self.task = self.bar.add_task(self.what, total=None)
        return self

    def update(self, done: int, total: int) -> None:
        """Show how far it is."""
        if self.bar is not None:
            self.bar.update(self.task, completed=done, total=total, refresh=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.stop()
