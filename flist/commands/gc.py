"""Remove the blocks of a `dir` store that none of the named flists needs.

Young blocks stay (an hour by default), and so do those that a pack or clone has found there lately:
its flist is written last. If one may run for longer, name a longer --grace. Name every flist whose
blocks are in the folder: what is not named is not kept.
"""

import argparse
import sys

from flist.bulk.gc import GRACE_S, collect_garbage
from flist.values import parse_path, parse_seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    # Behind --keep it would be taken for one more flist.
    parser.usage = f"{parser.prog} DIR --keep FLIST [FLIST ...] [--grace SECONDS] [-n]"
    parser.add_argument(
        "--keep", dest="metas", type=parse_path, nargs="+", required=True, metavar="FLIST"
    )
    parser.add_argument("--grace", type=parse_seconds, default=GRACE_S, metavar="SECONDS",
                        help="how young a block must be to stay (default 3600; less than 60 only"
                             " if nobody packs meanwhile)")  # fmt: skip
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("folder", type=parse_path, metavar="DIR")


def run(options: argparse.Namespace) -> int:
    """Collect."""
    found = collect_garbage(
        options.folder, options.metas, grace_s=options.grace, is_dry=options.dry_run
    )
    verb = "would remove" if options.dry_run else "removed"
    sys.stdout.write(
        f"{verb} {found.removed} blocks, {found.removed_bytes} bytes; {found.kept} stay\n"
    )
    return 0
