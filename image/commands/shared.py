"""What several verbs share: folders as arguments, and progress."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from image.recipe.load import DEFAULT_PROFILE, built_in

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    Verbs = _SubParsersAction[argparse.ArgumentParser]


def parse_folder(text: str) -> Path:
    """Return the folder; "" is refused, as it would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the folder has no name")
    return Path(text)


def add_profile(parser: argparse.ArgumentParser) -> None:
    """Add the option --profile."""
    parser.add_argument(
        "--profile",
        default=DEFAULT_PROFILE,
        metavar="NAME|FILE",
        help=f"what goes in: {', '.join(built_in())}, or a TOML file of yours "
        f"(default: {DEFAULT_PROFILE})",
    )


def add_allow_expired(parser: argparse.ArgumentParser) -> None:
    """Add the option --allow-expired."""
    parser.add_argument(
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
