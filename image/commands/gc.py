"""`zos image gc`: remove releases that no channel needs any more."""

import argparse
import sys
from typing import TYPE_CHECKING

from image.commands.store import add_store

if TYPE_CHECKING:
    from image.commands.shared import Verbs

KEEP = 5


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "gc",
        help="remove releases that no channel needs any more",
        description="Remove from a store the releases that no channel holds, but for the last ones "
        "of each channel, and every file that no release refers to.",
    )
    add_store(parser)
    parser.add_argument(
        "--keep",
        type=int,
        default=KEEP,
        metavar="N",
        help="earlier releases to keep for each channel (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Collect the garbage of a store."""
    from image.channel.garbage import collect
    from image.channel.place import Place, open_folder
    from image.release.store import hold_store

    place = Place(open_folder(args.store), ())
    with hold_store(place.layout, "collecting garbage"):
        removed, size = collect(place.open(), max(args.keep, 0))
    sys.stdout.write(f"removed {removed} files, {size / 1e6:.1f} MB\n")
    return 0
