"""Check a flist: its signature (if a key is named), its metadata, and every block that it needs.

Blocks come from the stores, not from a cache, and each store that should have a block is asked.
Each fault is printed; the status is 1 if there are any.
"""

import argparse
import json
import sys

from common.text import printable
from flist.commands.shared.options import (
    add_key_options,
    add_meta,
    add_sources,
    check_signature,
    read_sources,
)
from flist.commands.shared.progress import ByteProgress
from flist.unpack.verify import verify


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser)
    add_key_options(parser)
    add_sources(parser, has_cache=False)
    parser.add_argument(
        "--no-blocks", action="store_true", help="check only signature and metadata"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Verify, and print each fault."""
    check_signature(options)
    with ByteProgress("verifying") as progress:
        report = verify(options.meta, None if options.no_blocks else read_sources(options),
                        progress.update)  # fmt: skip
    if options.json:
        sys.stdout.write(json.dumps(report._asdict()) + "\n")
        return 1 if report.faults else 0
    for fault in report.faults:
        sys.stdout.write(printable(fault) + "\n")
    sys.stderr.write(f"checked {report.inodes} entries and {report.blocks} blocks\n")
    if report.lacking:
        sys.stderr.write(f"{report.lacking} blocks are not in all of their stores\n")
    return 1 if report.faults else 0
