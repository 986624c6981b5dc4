"""Show how often the blocks of the token's user were downloaded from a server."""

import argparse

from flist.commands.shared.servers import add_server, add_token, connected
from flist.commands.shared.tracking import add_details, ask_rows, show_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_server(parser)
    add_token(parser)
    add_details(parser)


def run(options: argparse.Namespace) -> int:
    """Print the table."""
    with connected(options.server, options.token) as client:
        rows = ask_rows(client, client.own_blocks())
    return show_rows(rows, options)
