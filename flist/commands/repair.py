"""Mend the stores of a flist: put the right bytes of every block where it is damaged or missing.

The right bytes come from another store of the block, from --from, or from a cache (-c). -s names
the stores to mend instead of those in the flist, for example with a token or a password. What could
not be mended or checked is printed; the status is 1 if there is any.
"""

import argparse
import json
import sys

from common.text import printable
from flist.bulk.repair import repair
from flist.commands.shared.options import (
    add_key_options,
    add_meta,
    add_sources,
    read_sources,
    signature_check,
)
from flist.commands.shared.progress import ByteProgress
from flist.store.routed import parse_route
from flist.values import check_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser)
    parser.add_argument(
        "-s", "--store", dest="targets", action="append", default=[], type=check_text,
        metavar="[hh-hh=]URL", help="mend this store instead of those in the flist",
    )  # fmt: skip
    add_sources(parser, has_cache=False, store_option="--from")
    add_key_options(parser)
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(options: argparse.Namespace) -> int:
    """Repair."""
    check = signature_check(options)
    routes = [parse_route(text) for text in options.targets]
    with ByteProgress("checking") as progress:
        done = repair(options.meta, read_sources(options), routes, progress.update, check)
    if options.json:
        sys.stdout.write(json.dumps(done._asdict()) + "\n")
    else:
        for fault in done.faults:
            sys.stdout.write(printable(fault) + "\n")
        sys.stderr.write(f"checked {done.blocks} blocks, mended {done.mended}\n")
    return 1 if done.faults else 0
