"""Restore a flist's files into a directory.

Repeat the same command after an interruption. A file that exists stays if all of it is right,
its content compared by hash; of other files only the chunks that differ are fetched.
"""

import argparse
import sys

from common.errors import UsageError
from flist.commands.shared.options import (
    add_key_options,
    add_meta,
    add_processes,
    add_sources,
    read_sources,
    signature_check,
)
from flist.commands.shared.progress import ByteProgress, show_some
from flist.unpack.unpack import unpack
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser)
    add_sources(parser)
    add_key_options(parser)
    parser.add_argument("-p", "--preserve-ownership", action="store_true", help="restore owners")
    add_processes(parser)
    parser.add_argument("target", type=parse_path, metavar="DIR")


def run(options: argparse.Namespace) -> int:
    """Unpack; the status is 1 if something that was asked for could not be restored."""
    check = signature_check(options)
    if options.target.exists() and not options.target.is_dir():
        raise UsageError(f"cannot unpack to {options.target}: it is not a directory")
    with ByteProgress("unpacking") as progress:
        done = unpack(
            options.meta, options.target, read_sources(options), progress=progress.update,
            is_owner_kept=options.preserve_ownership, processes=options.processes,
            check=check,
        )  # fmt: skip
    show_some("broken", done.broken)
    show_some("not restored", done.problems)
    sys.stderr.write(f"unpacked {done.inodes} entries, {done.size_bytes} bytes")
    if done.problems:
        sys.stderr.write(f", {len(done.problems)} properties could not be restored")
    sys.stderr.write(f", {done.kept} files were there already\n" if done.kept else "\n")
    return 1 if done.broken or (done.problems and options.preserve_ownership) else 0
