"""What a long command shows on stderr: a progress bar, if that is a terminal (otherwise nothing is
imported), and at its end what went wrong."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from common.text import printable

REDRAW_S = 0.1
SHOWN_TEXTS = 10


class ByteProgress:
    """A progress bar in bytes. `update(done, total)` may be called at any rate."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.bar: Any = None
        self.task: Any = None
        self.drawn_s = 0.0

    def __enter__(self) -> "ByteProgress":
        if sys.stderr.isatty():
            try:
                from rich.console import Console
                from rich.progress import (
                    BarColumn,
                    DownloadColumn,
                    Progress,
                    TaskProgressColumn,
                    TextColumn,
                    TimeRemainingColumn,
                )
            except ImportError:
                return self  # rich is not installed on a node
            columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
                       DownloadColumn(), TimeRemainingColumn())  # fmt: skip
            self.bar = Progress(*columns, console=Console(stderr=True), auto_refresh=False)
            try:
                self.bar.start()
                self.task = self.bar.add_task(self.what, total=None)
            except BaseException:  # Ctrl-C must not leave the cursor hidden
                self.bar.stop()
                raise
        return self

    def update(self, done: int, total: int) -> None:
        """Show the progress, redrawn at most every `REDRAW_S`, since drawing is slow."""
        if self.bar is not None:
            now_s = time.monotonic()
            is_due = now_s - self.drawn_s >= REDRAW_S
            self.bar.update(self.task, completed=done, total=total, refresh=is_due)
            if is_due:
                self.drawn_s = now_s

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            if kind is None:  # complete, even if files became shorter; hidden if there was nothing
                total = self.bar.tasks[0].total
                self.bar.update(self.task, completed=total, visible=bool(total))
            self.bar.stop()


def show_some(what: str, texts: Sequence[str]) -> None:
    """Print the first `SHOWN_TEXTS` of the texts on stderr, and how many more there are."""
    for text in texts[:SHOWN_TEXTS]:
        sys.stderr.write(f"{what}: {printable(text)}\n")
    if len(texts) > SHOWN_TEXTS:
        sys.stderr.write(f"... and {len(texts) - SHOWN_TEXTS} more\n")
