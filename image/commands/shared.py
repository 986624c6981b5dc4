"""What several verbs share: folders as arguments, stores and keys, and progress."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from common.runmodes import RUN_MODES

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from image.channel.actions import Reason
    from image.channel.place import Place

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


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the release store."""
    parser.add_argument("store", metavar="STORE", help="folder of the release store")


def add_signing(parser: argparse.ArgumentParser) -> None:
    """Add the store, and the keys that sign a change of it."""
    add_store(parser)
    parser.add_argument(
        "--keys",
        action="append",
        required=True,
        metavar="KEYS",
        help="key file, folder of key files, or PKCS#11 URI; can be repeated",
    )


def add_reason(parser: argparse.ArgumentParser, *, is_required: bool = False) -> None:
    """Add what the history of a channel says of a change."""
    parser.add_argument(
        "--why", default="", required=is_required, metavar="TEXT", help="reason, for the history"
    )
    parser.add_argument("--by", metavar="NAME", help="who does it (default: USER@HOST)")


def read_place(args: argparse.Namespace) -> "Place":
    """Return the store and the keys that `add_signing` has parsed."""
    from image.channel.place import Place, open_layout

    return Place(open_layout(args.store), args.keys)


def read_reason(args: argparse.Namespace) -> "Reason":
    """Return what `add_reason` has parsed."""
    from image.channel.actions import Reason
    from image.channel.place import describe_user

    return Reason(args.by or describe_user(), time.time(), args.why)


def add_channel(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add arguments that each name a channel."""
    for name in names:
        parser.add_argument(name, choices=tuple(RUN_MODES), help="channel")


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
