"""Convert a flist (an older .flist, or a .fl) into a new .fl, with its blocks in other stores.

Older blocks are decrypted in Python, at about 1 MB/s per processor.
"""

import argparse
import sys

from flist.bulk.convert import convert
from flist.commands.shared.options import add_meta, add_processes, add_sources, read_sources
from flist.commands.shared.progress import ByteProgress
from flist.commands.shared.targets import add_targets, read_targets
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser, "the flist to read")
    parser.add_argument("-o", "--output", type=parse_path, required=True, metavar="FILE")
    add_targets(parser)
    add_sources(parser, store_option="--from")
    add_processes(parser)


def run(options: argparse.Namespace) -> int:
    """Convert."""
    with ByteProgress("converting") as progress:
        count = convert(
            options.meta, options.output, read_sources(options), read_targets(options),
            keep_passwords=options.no_strip_password, processes=options.processes,
            progress=progress.update,
        )  # fmt: skip
    sys.stderr.write(f"converted {count} blocks\n")
    return 0
