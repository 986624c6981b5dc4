"""Pack a directory, its blocks to a server; the flist is written here."""

import argparse
from pathlib import Path

from flist.commands.server_options import add_upload
from flist.commands.upload_dir import create_flist


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    add_upload(parser)  # a block size, as upstream; a flist's chunks are always 512 KiB
    parser.add_argument("folder", type=Path, metavar="DIR")


def run(options: argparse.Namespace) -> int:
    """Pack."""
    create_flist(options.folder, options.output, options.server, options.token)
    return 0
