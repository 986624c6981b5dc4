"""Copy the blocks of a flist into other stores, byte for byte, and make those its stores.

A block that a store already has is not sent, unless it is damaged: that is checked in folders of
this machine, with --checksum in every store. The flist changes only after every block has been
stored. Its signature then no longer fits, so sign it again.
"""

import argparse
import sys

from flist.bulk.clone import clone
from flist.commands.shared.options import (
    add_key_options,
    add_meta,
    add_sources,
    read_sources,
    signature_check,
)
from flist.commands.shared.progress import ByteProgress
from flist.commands.shared.targets import add_targets, read_targets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser)
    add_targets(parser)
    add_sources(parser, store_option="--from")
    add_key_options(parser)
    parser.add_argument(
        "--keep-routes", action="store_true", help="add to the old stores instead of replacing them"
    )
    parser.add_argument(
        "--checksum", action="store_true", help="download and check the blocks that are there"
    )


def run(options: argparse.Namespace) -> int:
    """Clone."""
    check = signature_check(options)
    with ByteProgress("cloning") as progress:
        copied = clone(
            options.meta, read_sources(options), read_targets(options),
            are_routes_kept=options.keep_routes, keep_passwords=options.no_strip_password,
            is_checksum=options.checksum, progress=progress.update,
            check=check,
        )  # fmt: skip
    sys.stderr.write(f"copied {copied} blocks\n")
    return 0
