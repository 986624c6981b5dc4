"""Pack a directory, its blocks to a server; the flist is written here."""

import argparse

from flist.commands.shared.send import create_flist
from flist.commands.shared.servers import add_upload
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-o", "--output", type=parse_path, required=True, metavar="FILE")
    add_upload(parser)  # a block size, as upstream; a flist's chunks are always 512 KiB
    parser.add_argument("folder", type=parse_path, metavar="DIR")


def run(options: argparse.Namespace) -> int:
    """Pack."""
    create_flist(options.folder, options.output, options.server, options.token)
    return 0
