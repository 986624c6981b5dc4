"""Sign in at a server and print the token, for --token or $RFS_TOKEN.

A password that is - comes from $RFS_PASSWORD, which other users of the machine can't see.
"""

import argparse
import os
import sys

from common.errors import UsageError
from flist.commands.shared.servers import add_server, connected


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-u", "--username", required=True)
    parser.add_argument("-p", "--password", required=True, help="- takes $RFS_PASSWORD")
    add_server(parser)


def run(options: argparse.Namespace) -> int:
    """Sign in."""
    password = options.password
    if password == "-":  # noqa: S105
        password = os.environ.get("RFS_PASSWORD", "")
    if not options.username or not password:
        raise UsageError("cannot sign in: a name or a password is empty")
    with connected(options.server) as client:
        sys.stdout.write(client.sign_in(options.username, password) + "\n")
    return 0
