"""What the commands share: progress on a terminal, warnings, JSON."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from common.errors import ZosError, render_error
from zstor.pipeline.files import Stored
from zstor.pipeline.source import Watch

PROG = "zos zstor"


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Watch]:
    """Yield a function that takes numbers of bytes done, and shows their sum on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True)
    bar = Progress(*columns, TransferSpeedColumn(), console=console, transient=True)
    with Progress(disable=True) if not sys.stderr.isatty() else bar as shown:
        task = shown.add_task(what, total=total)
        yield lambda count: shown.advance(task, count)


def tell(error: ZosError) -> None:
    """Print an error that does not end the command."""
    sys.stderr.write(render_error(error, PROG))


def warn(stored: Stored) -> None:
    """Say that a newer version may exist."""
    if not stored.is_certain:
        sys.stderr.write(
            f"{PROG}: warning: too few metadata stores answer; {stored.name} may be older than "
            "what was stored last\n"
        )


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.write(json.dumps(value) + "\n")


def parse_path(text: str) -> Path:
    """Return a path of the command line; the empty one is refused."""
    if not text:
        raise ValueError
    return Path(text)
