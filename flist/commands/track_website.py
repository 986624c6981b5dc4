"""Show how often the blocks of a website were fetched, by its flist's hash."""

import argparse

from flist.commands.shared.servers import add_server, connected, fetched_flist, parse_hash
from flist.commands.shared.tracking import add_details, ask_rows, show_rows
from flist.format.opening import open_flist


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_server(parser)
    add_details(parser)
    parser.add_argument("hash", type=parse_hash, metavar="HASH")


def run(options: argparse.Namespace) -> int:
    """Ask and print."""
    with fetched_flist(options.hash, options.server) as meta, open_flist(meta) as flist:
        names = [block.id.hex() for _, block in flist.all_blocks()]
    with connected(options.server) as client:
        rows = ask_rows(client, names)
    return show_rows(rows, options)
