"""Merge flists into one. If two have the same path, the first wins.

No block is copied, but for those that have another format than the output, which has the older one
if its name ends in .flist: they are converted into the stores of -s.
"""

import argparse
import sys

from flist.bulk.merge import merge_flists
from flist.commands.shared.options import add_processes, add_sources, read_sources
from flist.commands.shared.progress import ByteProgress, show_some
from flist.commands.shared.targets import add_targets, read_targets
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-o", "--output", type=parse_path, required=True, metavar="FILE")
    add_targets(parser, is_required=False)
    add_sources(parser, store_option="--from")
    add_processes(parser)
    parser.add_argument("metas", type=parse_path, nargs="+", metavar="FLIST", help="the first wins")


def run(options: argparse.Namespace) -> int:
    """Merge."""
    with ByteProgress("converting") as progress:
        done = merge_flists(
            options.metas, options.output, read_sources(options), read_targets(options),
            keep_passwords=options.no_strip_password, processes=options.processes,
            progress=progress.update,
        )  # fmt: skip
    show_some("note", done.losses)
    sys.stderr.write(f"{done.inodes} entries\n")
    return 0
