"""What the verbs of a release store share: the store, the keys and the reason as arguments."""

import argparse
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from common.runmodes import RUN_MODES

if TYPE_CHECKING:
    from image.channel.actions import Reason
    from image.channel.place import Place


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the release store."""
    parser.add_argument(
        "store", metavar="STORE", help="folder of the release store, or a bootstrap server's URL"
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="token for the server (default: the variable ZOS_TOKEN)",
    )


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


@contextlib.contextmanager
def read_place(args: argparse.Namespace) -> Iterator["Place"]:
    """Open the store that `add_store` has parsed, with the keys of `add_signing` if there are."""
    from image.channel.place import open_place
    from image.channel.server import read_token

    keys = getattr(args, "keys", ())
    with open_place(args.store, keys, read_token(args.token_file)) as place:
        yield place


def read_reason(args: argparse.Namespace) -> "Reason":
    """Return what `add_reason` has parsed."""
    from image.channel.actions import Reason
    from image.channel.place import describe_user

    return Reason(args.by or describe_user(), time.time(), args.why)


def add_channel(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add arguments that each name a channel."""
    for name in names:
        parser.add_argument(name, choices=tuple(RUN_MODES), help="channel")
