"""Restore a directory that was sent by `upload-dir --create-flist`, by the hash of its flist."""

import argparse
import sys

from common.text import printable
from flist.commands.shared.progress import ByteProgress
from flist.commands.shared.servers import add_server, fetched_flist
from flist.store.sources import Sources
from flist.unpack.unpack import unpack
from flist.values import parse_hash, parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_server(parser)
    parser.add_argument("-o", "--output", type=parse_path, required=True, metavar="DIR")
    parser.add_argument("hash", type=parse_hash, metavar="HASH")


def run(options: argparse.Namespace) -> int:
    """Download; the status is 1 if something could not be restored."""
    store = f"server://{options.server.rstrip('/')}"
    with (
        fetched_flist(options.hash, options.server) as meta,
        ByteProgress("downloading") as progress,
    ):
        done = unpack(meta, options.output, Sources([store]), progress=progress.update)
    for text in done.broken:
        sys.stderr.write(f"broken: {printable(text)}\n")
    sys.stderr.write(f"{done.inodes} entries, {done.size_bytes} bytes\n")
    return 1 if done.broken else 0
