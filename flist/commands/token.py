"""Sign in to a server and print the token, for --token or $RFS_TOKEN.

With `-p -` the password is taken from $RFS_PASSWORD, which other users of the machine can't see.
"""

import argparse
import sys

from common.errors import UsageError
from flist.commands.shared.options import read_password
from flist.commands.shared.servers import add_server, connected


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-u", "--username", required=True)
    parser.add_argument("-p", "--password", required=True, help="- takes $RFS_PASSWORD")
    add_server(parser)


def run(options: argparse.Namespace) -> int:
    """Sign in."""
    password = read_password(options.password)
    if not options.username or not password:
        raise UsageError("cannot sign in: the name or the password is empty")
    with connected(options.server) as client:
        sys.stdout.write(client.sign_in(options.username, password) + "\n")
    return 0
