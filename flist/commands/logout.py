"""End the session that `login` has begun on a hub, and forget its token.

A token that was handed over with `login --with-token` is forgotten, but stays valid.
"""

import argparse
import sys

from flist.commands.shared.servers import connected
from flist.errors import FlistError, StoreError
from flist.server import kept
from flist.server.api import name_server


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("url", metavar="URL", help="of the hub")


def run(options: argparse.Namespace) -> int:
    """Forget the token, also if the hub does not answer."""
    found = kept.find(options.url)
    if found is None:
        raise FlistError(f"cannot sign out: no token is kept for {name_server(options.url)}")
    kept.forget(options.url)
    if found.is_session:
        with connected(options.url, found.token) as client:
            try:
                client.sign_out()
            except StoreError as error:
                raise StoreError(
                    f"the token is forgotten, but may still be valid: {error.message}",
                    hint="its account's page, or `zos hub token revoke`",
                ) from error
    sys.stdout.write(f"signed out of {name_server(options.url)}\n")
    return 0
