"""`zos image rollback`: make a channel hold an earlier release again."""

import argparse
import sys
from typing import TYPE_CHECKING

from image.commands.store import add_channel, add_reason, add_signing, read_place, read_reason

if TYPE_CHECKING:
    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "rollback",
        help="make a channel hold an earlier release again",
        description="Sign that a channel holds a release that it held before: the one before this, "
        "or VERSION. Nodes accept it, as its metadata is newer.",
    )
    add_channel(parser, "channel")
    add_signing(parser)
    parser.add_argument("version", nargs="?", metavar="VERSION", help="release to go back to")
    add_reason(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Roll a channel back."""
    from image.channel.actions import rollback

    reason = read_reason(args)
    with read_place(args) as place:
        change = place.change(
            f"rolling {args.channel} back",
            lambda repository: rollback(repository, args.channel, args.version, reason),
        )
    sys.stdout.write(f"done: {change.what}\n")
    return 0
