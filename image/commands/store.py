"""What the verbs of a release store share: the store, the keys and the reason as arguments."""

import argparse
import time
from typing import TYPE_CHECKING

from common.runmodes import RUN_MODES

if TYPE_CHECKING:
    from image.channel.actions import Reason
    from image.channel.place import Place


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
