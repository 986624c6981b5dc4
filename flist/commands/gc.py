"""Remove the blocks of a `dir` store that none of the named flists needs.

Name every flist whose blocks are in the folder: the blocks of others are removed. In the folder of
a hub (HUB/blocks), uploads, websites and published flists keep theirs without being named. Blocks
younger than --grace stay (an hour by default), because a running pack or clone writes its flist
last; a block that it finds in the folder counts as young, too. Use a longer --grace if one may run
longer.
"""

import argparse
import json
import sys

from flist.bulk.gc import GRACE_S, collect_garbage
from flist.values import parse_path, parse_seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    # After --keep, DIR would be taken for one more flist.
    parser.usage = f"{parser.prog} DIR --keep FLIST [FLIST ...] [--grace SECONDS] [-n] [--json]"
    parser.add_argument(
        "--keep", dest="metas", type=parse_path, nargs="+", default=[], metavar="FLIST"
    )
    parser.add_argument("--grace", type=parse_seconds, default=GRACE_S, metavar="SECONDS",
                        help="keep blocks younger than this (default 3600; less than 60 is safe"
                             " only if no pack is running)")  # fmt: skip
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="only print what would be done"
    )
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.add_argument("folder", type=parse_path, metavar="DIR")


def run(options: argparse.Namespace) -> int:
    """Collect."""
    found = collect_garbage(
        options.folder, options.metas, grace_s=options.grace, is_dry=options.dry_run
    )
    if options.json:
        sys.stdout.write(json.dumps(found._asdict()) + "\n")
        return 0
    verb = "would remove" if options.dry_run else "removed"
    sys.stdout.write(
        f"{verb} {found.removed} blocks, {found.removed_bytes} bytes; {found.kept} stay\n"
    )
    return 0
