"""Copy blocks from one server to another: those of one file (-h HASH), or all."""

import argparse
import sys

from flist.commands.shared.servers import add_token, connected
from flist.server.transfer import sync


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-s", "--source", required=True, metavar="URL")
    parser.add_argument("-d", "--destination", required=True, metavar="URL")
    parser.add_argument("-H", "--hash", help="one file; -h HASH does the same, as upstream")
    add_token(parser)


def run(options: argparse.Namespace) -> int:
    """Sync."""
    with (
        connected(options.source) as source,
        connected(options.destination, options.token) as target,
    ):
        count = sync(source, target, options.hash)
    sys.stderr.write(f"{count} blocks were missing\n")
    return 0
