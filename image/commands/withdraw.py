"""`zos image withdraw`: take a release back from all channels, for good."""

import argparse
import sys
from typing import TYPE_CHECKING

from common.runmodes import RUN_MODES
from image.commands.store import add_reason, add_signing, read_place, read_reason

if TYPE_CHECKING:
    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "withdraw",
        help="take a release back, for good",
        description="Sign that a release must not be run any more. Each channel that holds it goes "
        "back to the release before; no channel takes it again.",
    )
    parser.add_argument("version", metavar="VERSION", help="release")
    add_signing(parser)
    parser.add_argument(
        "--channel",
        action="append",
        choices=tuple(RUN_MODES),
        help="only from this channel; can be repeated (default: all that have held it)",
    )
    add_reason(parser, is_required=True)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Withdraw a release."""
    from image.channel.actions import withdraw

    reason, channels = read_reason(args), args.channel or tuple(RUN_MODES)
    with read_place(args) as place:
        change = place.change(
            f"withdrawing {args.version}",
            lambda repository: withdraw(repository, args.version, channels, reason),
        )
    sys.stdout.write(f"done: {change.what}\n")
    return 0
