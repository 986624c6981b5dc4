"""What the verbs share: the folders, and a line that shows how far the work is."""

import argparse
import sys
import time
from pathlib import Path

from common.errors import UsageError
from zdb.tools.folders import Folders

SHOWN_S = 0.2


def add_folders(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the folders of a server."""
    parser.add_argument(
        "--disk", type=Path, metavar="DIR", help="folder of a disk, with data/ and index/ in it"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="the data files, without a disk")
    parser.add_argument("--index", type=Path, metavar="DIR", help="the index files, without a disk")


def add_names(parser: argparse.ArgumentParser) -> None:
    """Add the namespaces to work on."""
    parser.add_argument("names", nargs="*", metavar="NAMESPACE", help="(all)")


def folders_of(options: argparse.Namespace) -> Folders:
    """Return the folders that the options name."""
    if options.disk is not None and options.data is None and options.index is None:
        return Folders(options.disk / "data", options.disk / "index")
    if options.disk is not None or options.data is None or options.index is None:
        raise UsageError("either --disk is needed, or --data and --index")
    return Folders(options.data, options.index)


class Line:
    """A line on the terminal that shows how far the work is; nothing where there is none."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._last = 0.0

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_shown and self._last:
            sys.stderr.write("\r\x1b[K")

    def show(self, what: str, done: int, total: int) -> None:
        """Show how much is done, a few times a second."""
        now = time.monotonic()
        if self._is_shown and now - self._last > SHOWN_S:
            self._last = now
            of = f" of {total}" if total else ""
            sys.stderr.write(f"\r\x1b[K{what}: {done}{of}")
            sys.stderr.flush()
