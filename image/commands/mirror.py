"""`zos image mirror`: a folder from which locked releases can be built without a network."""

import argparse
import sys
from typing import TYPE_CHECKING

from image.commands.shared import parse_folder, show_progress

if TYPE_CHECKING:
    from pathlib import Path

    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    mirror = verbs.add_parser(
        "mirror",
        help="fill a folder with the locked files, to build from without a network",
        description="Fill a folder with exactly the packages and wheels that are locked, for "
        "`zos image build --mirror`. Other files in it stay, such as those of earlier locks.",
    )
    mirror.add_argument("folder", type=parse_folder, metavar="DIR", help="the folder")
    mirror.add_argument(
        "--profile", metavar="PROFILE", help="only this profile's lock (default: all built-in ones)"
    )
    mirror.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Fill the folder."""
    from image.lock.model import find_request, read_lock
    from image.lock.update import mirror_lock
    from image.recipe.load import built_in

    names = [args.profile] if args.profile else built_in()
    folder: Path = args.folder
    count = 0
    with show_progress() as progress:
        for name in names:
            lock = read_lock(find_request(name).lock)
            count += sum(1 for _ in mirror_lock(lock, folder, progress))
    sys.stdout.write(f"{folder}: {count} files added for {' '.join(names)}\n")
    return 0
