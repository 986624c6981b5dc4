"""What several verbs share: folders as arguments, and progress."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    Verbs = _SubParsersAction[argparse.ArgumentParser]


def parse_folder(text: str) -> Path:
    """Return the folder; "" is refused, as it would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the folder has no name")
    return Path(text)


def add_profile(verb: argparse.ArgumentParser) -> None:
    """Add the options of a verb that locks a profile."""
    verb.add_argument(
        "--profile",
        default="virt",
        metavar="PROFILE",
        help="the profile (default: %(default)s)",
    )
    verb.add_argument(
        "--allow-expired",
        action="store_true",
        help="accept package lists that are older than their signature allows, for a mirror that "
        "is kept at one day",
    )


@contextmanager
def show_progress() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows progress on stderr: a status line on a terminal, else lines."""
    if not sys.stderr.isatty():
        yield lambda text: print(text, file=sys.stderr, flush=True)
        return
    from rich.console import Console

    console = Console(stderr=True, log_path=False)
    with console.status("starting") as status:

        def show(text: str) -> None:
            status.update(text)
            console.log(text, highlight=False)

        yield show
