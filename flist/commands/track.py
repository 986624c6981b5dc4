"""Show how often all blocks of the token's user were fetched from a server."""

import argparse

from flist.commands.shared.servers import add_server, add_token, connected
from flist.commands.shared.tracking import add_details, ask_rows, show_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_server(parser)
    add_token(parser)
    add_details(parser)


def run(options: argparse.Namespace) -> int:
    """Ask and print."""
    with connected(options.server, options.token) as client:
        rows = ask_rows(client, client.own_blocks())
    return show_rows(rows, options)
