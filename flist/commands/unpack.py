"""Restore a flist's files into a directory.

A run that was interrupted is repeated with the same command. Files that are there stay if they
are right in everything, content compared by hash; of others only chunks that differ are fetched.
"""

import argparse
import sys

from common.errors import UsageError
from common.text import printable
from flist.commands.shared.options import (
    add_key_options,
    add_meta,
    add_sources,
    check_signature,
    read_sources,
)
from flist.commands.shared.progress import ByteProgress
from flist.unpack.unpack import unpack
from flist.values import parse_path, parse_processes

SHOWN_PROBLEMS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser)
    add_sources(parser)
    add_key_options(parser)
    parser.add_argument("-p", "--preserve-ownership", action="store_true", help="restore owners")
    parser.add_argument(
        "--processes", type=parse_processes, default=0, help="default: one per processor"
    )
    parser.add_argument("target", type=parse_path, metavar="DIR")


def run(options: argparse.Namespace) -> int:
    """Unpack; the status is 1 if something could not be restored that should have been."""
    check_signature(options)
    if options.target.exists() and not options.target.is_dir():
        raise UsageError(f"cannot unpack to {options.target}: it is not a directory")
    with ByteProgress("unpacking") as progress:
        done = unpack(
            options.meta, options.target, read_sources(options), progress=progress.update,
            is_owner_kept=options.preserve_ownership, processes=options.processes,
        )  # fmt: skip
    show("broken", done.broken)
    show("not restored", done.problems)
    sys.stderr.write(f"unpacked {done.inodes} entries, {done.size_bytes} bytes")
    sys.stderr.write(f", {done.kept} files were there already\n" if done.kept else "\n")
    return 1 if done.broken or (done.problems and options.preserve_ownership) else 0


def show(what: str, texts: list[str]) -> None:
    """Print the first of many complaints."""
    for text in texts[:SHOWN_PROBLEMS]:
        sys.stderr.write(f"{what}: {printable(text)}\n")
    if len(texts) > SHOWN_PROBLEMS:
        sys.stderr.write(f"... and {len(texts) - SHOWN_PROBLEMS} more\n")
