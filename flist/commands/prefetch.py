"""Fetch the blocks of a flist into the cache, for a mount that may then be offline.

With --trace, fetch only the blocks that an earlier mount recorded, in that order. Blocks that can't
be fetched are printed at the end, with the reason, and the status is 1; so it is if the cache is
too small for all.
"""

import argparse
import sys

from common.text import printable
from flist.bulk.prefetch import prefetch
from flist.commands.shared.options import add_meta, add_sources, read_sources
from flist.commands.shared.progress import ByteProgress
from flist.mount.trace import read_trace
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser)
    add_sources(parser)
    parser.add_argument(
        "--trace", type=parse_path, metavar="FILE", help="as recorded by `mount --record FILE`"
    )


def run(options: argparse.Namespace) -> int:
    """Prefetch."""
    wanted = read_trace(options.trace, options.meta) if options.trace else None
    with ByteProgress("fetching") as progress:
        done = prefetch(options.meta, read_sources(options), wanted, progress.update)
    for fault in done.faults:
        sys.stdout.write(printable(fault) + "\n")
    lacking = f", {len(done.faults)} could not be had" if done.faults else ""
    sys.stderr.write(f"fetched {done.fetched} blocks, {done.kept} were there already{lacking}\n")
    if done.evicted:
        sys.stdout.write(
            f"{done.evicted} blocks are not in the cache: they do not fit into"
            f" {options.cache_size} bytes (--cache-size)\n"
        )
    return 1 if done.faults or done.evicted else 0
