"""Put a flist (and its signature, if it has one) on a hub, under REPO/NAME.fl."""

import argparse
import re
import sys
from pathlib import Path

from common.errors import UsageError
from flist.commands.shared.options import add_meta
from flist.commands.shared.servers import add_server, add_token, connected
from flist.format.opening import open_flist

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._+-]*\.fl"
"""The names that our hub accepts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser)
    add_server(parser)
    add_token(parser)
    parser.add_argument("name", metavar="REPO/NAME.fl")


def run(options: argparse.Namespace) -> int:
    """Publish. The signature goes first, so that a node never sees the flist without it."""
    if not re.fullmatch(NAME, options.name):
        raise UsageError(
            f"cannot publish as {options.name!r}", hint="REPO/NAME.fl, of letters, digits and ._+-"
        )
    open_flist(options.meta).close()  # raises if it is not a flist
    signature = Path(f"{options.meta}.sig")
    with connected(options.server, options.token) as client:
        if signature.exists():
            client.put_flist(f"{options.name}.sig", signature.read_bytes())
        client.put_flist(options.name, options.meta.read_bytes())
    sys.stdout.write(f"{options.server.rstrip('/')}/{options.name}\n")
    return 0
