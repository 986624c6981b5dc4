"""Download an uploaded file; every block is checked against its hash."""

import argparse
import sys

from flist.commands.shared.servers import add_server, connected
from flist.server.transfer import download
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_server(parser)
    parser.add_argument("-o", "--output", type=parse_path, required=True, metavar="FILE")
    parser.add_argument("hash", metavar="HASH")


def run(options: argparse.Namespace) -> int:
    """Download."""
    with connected(options.server) as client:
        size = download(client, options.hash, options.output)
    sys.stderr.write(f"{size} bytes\n")
    return 0
