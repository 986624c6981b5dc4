"""`zos image renew`: sign again before signatures expire."""

import argparse
import sys
import time
from typing import TYPE_CHECKING

from common.runmodes import RUN_MODES
from image.commands.store import add_signing, read_place

if TYPE_CHECKING:
    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "renew",
        help="sign again, before signatures expire",
        description="Sign snapshot and timestamp again; a timer should do so every day. Other "
        "roles are signed again if they are named, which needs their keys.",
    )
    add_signing(parser)
    parser.add_argument(
        "--role",
        action="append",
        default=[],
        choices=("root", "targets", "snapshot", "timestamp", *RUN_MODES),
        help="sign this role again, too; can be repeated",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="even if they then expire earlier, after a publisher's clock was ahead",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Renew signatures."""
    from image.channel.actions import refresh

    with read_place(args) as place:
        change = place.change(
            "renewing signatures",
            lambda repository: refresh(repository, args.role, time.time(), is_forced=args.force),
        )
    sys.stdout.write(f"done: {change.what}\n")
    return 0
