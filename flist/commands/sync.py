"""Copy blocks from one server to another: those of one file (-h HASH), or all."""

import argparse
import sys

from flist.commands.shared.servers import DEFAULT_SERVER, add_token, connected
from flist.server.transfer import sync

DESTINATION = "http://localhost:8081"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-s", "--source", default=DEFAULT_SERVER, metavar="URL",
                        help=f"default {DEFAULT_SERVER}")  # fmt: skip
    parser.add_argument("-d", "--destination", default=DESTINATION, metavar="URL",
                        help=f"default {DESTINATION}")  # fmt: skip
    parser.add_argument(
        "-b", "--block-size", metavar="BYTES", help="accepted but ignored: blocks are copied whole"
    )
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
