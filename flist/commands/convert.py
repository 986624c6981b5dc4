"""Convert a flist of either format into one of either, with its blocks in other stores.

    zos flist convert OLD.flist NEW.fl -s URL     from the older format
    zos flist convert NEW.fl OLD.flist -s URL     to the older format, for zflist, 0-fs and g8ufs

The ending of the output's name chooses its format. In the older one, hard links become copies,
extended attributes and the fractions of times are lost, and only zdb and Redis stores are named.
"""

import argparse
import sys

from common.errors import UsageError
from flist.bulk.convert import convert
from flist.commands.shared.options import add_processes, add_sources, read_sources
from flist.commands.shared.progress import ByteProgress, show_some
from flist.commands.shared.targets import add_targets, read_targets
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "-m", "--meta", type=parse_path, metavar="FILE", help="the same as the first FLIST"
    )
    parser.add_argument(
        "-o", "--output", type=parse_path, metavar="FILE", help="the same as the last FLIST"
    )
    add_targets(parser)
    add_sources(parser, store_option="--from")
    add_processes(parser)
    parser.add_argument(
        "flists", type=parse_path, nargs="*", metavar="FLIST", help="the flist, and its new form"
    )


def run(options: argparse.Namespace) -> int:
    """Convert."""
    named = [options.meta, *options.flists, options.output]
    flists = [path for path in named if path is not None]
    if len(flists) != 2:
        raise UsageError(f"{len(flists)} flists are named", hint="convert FLIST FLIST -s URL")
    meta, output = flists
    with ByteProgress("converting") as progress:
        done = convert(
            meta, output, read_sources(options), read_targets(options),
            keep_passwords=options.no_strip_password, processes=options.processes,
            progress=progress.update,
        )  # fmt: skip
    show_some("note", done.losses)
    sys.stderr.write(f"converted {done.blocks} blocks\n")
    return 0
