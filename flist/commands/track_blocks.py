"""Show how often blocks were downloaded: one block or a file's (-h HASH), or all (-a)."""

import argparse

from common.errors import UsageError
from flist.commands.shared.servers import add_server, add_token, connected
from flist.commands.shared.tracking import add_details, ask_rows, show_rows
from flist.values import parse_hash


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_server(parser)
    add_token(parser)
    parser.add_argument(
        "-H", "--hash", type=parse_hash, help="of a block or file; -h HASH does the same"
    )
    parser.add_argument("-a", "--all", action="store_true", help="all blocks of the server")
    add_details(parser)


def run(options: argparse.Namespace) -> int:
    """Print the table; without -h and -a, of the blocks of the token's user."""
    if options.hash and options.all:
        raise UsageError("cannot track: -h HASH and -a exclude each other")
    with connected(options.server, options.token) as client:
        if options.hash:
            names = client.blocks_of(options.hash) or [options.hash]
        else:
            names = list(client.all_blocks() if options.all else client.own_blocks())
        rows = ask_rows(client, names)
    return show_rows(rows, options)
