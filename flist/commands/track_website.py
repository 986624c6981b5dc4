"""Show how often the blocks of a website were downloaded, by the hash of its flist."""

import argparse

from flist.commands.shared.servers import add_server, connected, fetched_flist
from flist.commands.shared.tracking import add_details, ask_rows, show_rows
from flist.format.opening import open_flist
from flist.values import parse_hash


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_server(parser)
    add_details(parser)
    parser.add_argument("hash", type=parse_hash, metavar="HASH")


def run(options: argparse.Namespace) -> int:
    """Print the table."""
    with fetched_flist(options.hash, options.server) as meta, open_flist(meta) as flist:
        names = [block.id.hex() for _, block in flist.all_blocks()]
    with connected(options.server) as client:
        rows = ask_rows(client, names)
    return show_rows(rows, options)
