"""Put a flist (and its signature, if it has one) on a hub, under REPO/NAME.fl.

Without a signature it does not replace a flist that is signed, unless --unsigned is given: nodes
that demand one would refuse it.
"""

import argparse
import io
import re
import shutil
import sys
import tempfile
from pathlib import Path

from common.errors import UsageError
from flist.commands.shared.options import add_meta
from flist.commands.shared.servers import add_server, add_token, connected
from flist.errors import FlistError
from flist.format.opening import open_flist
from flist.format.signing.trailer import find_trailer, read_trailer
from flist.http.status import NOT_FOUND, refusal
from flist.server.client import ServerClient
from flist.store.metadata import MAX_BYTES

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._+-]*\.fl"
"""The names that our hub accepts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser)
    add_server(parser)
    add_token(parser)
    parser.add_argument(
        "--unsigned", action="store_true", help="replace a signed flist although this one is not"
    )
    parser.add_argument("name", metavar="REPO/NAME.fl")


def run(options: argparse.Namespace) -> int:
    """Publish what could be opened. The signature goes first, so that a node never sees the flist
    without it."""
    if not re.fullmatch(NAME, options.name):
        raise UsageError(
            f"cannot publish as {options.name!r}", hint="REPO/NAME.fl, of letters, digits and ._+-"
        )
    flist = io.BytesIO()
    open_flist(options.meta, lambda _path, copy: shutil.copyfileobj(copy, flist)).close()
    signature = Path(f"{options.meta}.sig")
    is_signed = signature.exists() or bool(find_trailer(flist)[1])
    with connected(options.server, options.token) as client:
        if not is_signed and not options.unsigned and is_published_signed(client, options.name):
            raise FlistError(
                f"cannot publish: {options.name} on the hub is signed, and {options.meta} is not",
                hint="`sign` it first, or --unsigned",
            )
        if signature.exists():
            client.put_flist(f"{options.name}.sig", signature.read_bytes())
        client.put_flist(options.name, flist.getvalue())
    sys.stdout.write(f"{options.server.rstrip('/')}/{options.name}\n")
    return 0


def is_published_signed(client: ServerClient, name: str) -> bool:
    """Return whether the hub has a flist of that name with a signature, beside or inside it."""
    if is_there(client, f"{name}.sig"):
        return True
    if not is_there(client, name):
        return False
    with tempfile.TemporaryDirectory(prefix="flist-") as folder:
        place = Path(folder) / "published.fl"
        patience = client.http.be_patient(max_bytes=MAX_BYTES)
        with (
            client.http.open("GET", name, secret=client.secret, patience=patience) as response,
            place.open("wb") as stream,
        ):
            if response.status != 200:
                raise refusal(response.status, client.url)
            for piece in response.pieces():
                stream.write(piece)
        return bool(read_trailer(place)[1])


def is_there(client: ServerClient, name: str) -> bool:
    """Return whether the hub has a file."""
    status, _ = client.http.ask("HEAD", name, secret=client.secret)
    if status not in (200, *NOT_FOUND):
        raise refusal(status, client.url)
    return status == 200
