"""Send a file to a server as plain blocks; prints the file's hash."""

import argparse
import sys

from flist.commands.shared.servers import add_upload, connected
from flist.server.transfer import upload
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_upload(parser)
    parser.add_argument("file", type=parse_path, metavar="FILE")


def run(options: argparse.Namespace) -> int:
    """Upload."""
    with connected(options.server, options.token) as client:
        sys.stdout.write(upload(client, options.file, options.block_size) + "\n")
    return 0
