"""Pack a directory with its blocks on a server; the flist stays on this machine."""

import argparse

from flist.commands.shared.send import create_flist
from flist.commands.shared.servers import add_upload
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-o", "--output", type=parse_path, required=True, metavar="FILE")
    add_upload(parser)  # upstream has --block-size here, but a flist's chunks are always 512 KiB
    parser.add_argument("folder", type=parse_path, metavar="DIR")


def run(options: argparse.Namespace) -> int:
    """Pack."""
    create_flist(options.folder, options.output, options.server, options.token)
    return 0
