"""`zos image promote`: put the release of one channel onto another."""

import argparse
import sys
from typing import TYPE_CHECKING

from image.commands.store import (
    add_channel,
    add_reason,
    add_signing,
    add_waves,
    read_place,
    read_reason,
    read_waves,
)

if TYPE_CHECKING:
    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "promote",
        help="put the release of one channel onto another",
        description="Sign that the channel TO holds the release that FROM holds.",
    )
    add_channel(parser, "source", "channel")
    add_signing(parser)
    add_waves(parser)
    add_reason(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Promote a release."""
    from image.channel.actions import promote

    reason = read_reason(args)
    waves = read_waves(args, reason.now)
    with read_place(args) as place:
        change = place.change(
            f"promoting {args.source} to {args.channel}",
            lambda repository: promote(repository, args.source, args.channel, reason, waves),
        )
    sys.stdout.write(f"done: {change.what}\n")
    return 0
