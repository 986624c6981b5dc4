"""Sign in to a hub, and keep a token for the commands that upload and publish.

They use it where no --token is given and $RFS_TOKEN is not set. The password is asked for, or comes
from $RFS_PASSWORD or stdin. Who signs in at an OpenID Connect provider makes a token on the hub's
pages, and hands it over with --with-token.
"""

import argparse
import getpass
import os
import sys

from common.errors import UsageError
from common.text import printable
from flist.commands.shared.servers import connected
from flist.server import kept
from flist.server.client import ServerClient
from flist.values import parse_path, parse_token

DAYS = 30.0
MAX_LINE = 4096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("url", metavar="URL", help="of the hub")
    parser.add_argument("-u", "--username", default="")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "-k", "--key", type=parse_path, metavar="FILE", help="a private key of `keygen`"
    )
    how.add_argument("--with-token", action="store_true", help="read a token from stdin")
    parser.add_argument(
        "--days", type=float, default=DAYS, metavar="N", help=f"until the session ends ({DAYS:g})"
    )
    parser.add_argument(
        "--scope", action="append", metavar="SCOPE",
        help="read, upload, publish or admin; can be repeated (the first three)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Sign in, and keep the token once the hub has accepted it."""
    with connected(options.url) as client:
        token = read_token() if options.with_token else sign_in(client, options)
        client.use(token)
        user = client.user_name()
        kept.keep(options.url, kept.Kept(token, user, not options.with_token))
    sys.stdout.write(f"signed in to {client.url} as {printable(user)}\n")
    return 0


def sign_in(client: ServerClient, options: argparse.Namespace) -> str:
    """Return the token of a new session."""
    name = options.username or ask("User: ")
    wish: dict[str, object] = {"days": options.days}
    if options.scope:
        wish["scopes"] = options.scope
    if options.key is not None:
        from flist.format.signing.keys import load_private_key

        return client.sign_in_by_key(name, load_private_key(options.key), wish)
    password = os.environ.get("RFS_PASSWORD") or read_password()
    if not name or not password:
        raise UsageError("cannot sign in: the name or the password is empty")
    return client.sign_in(name, password, wish)


def ask(question: str) -> str:
    """Return a line from the terminal. Raises `UsageError` if there is none."""
    if not sys.stdin.isatty():
        raise UsageError("cannot sign in: whose account is it?", hint="-u NAME")
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline(MAX_LINE).strip()


def read_password() -> str:
    """Return a password; a terminal does not show it."""
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline(MAX_LINE).rstrip("\n")


def read_token() -> str:
    """Return a token from stdin. Raises `UsageError`."""
    try:
        token = parse_token(sys.stdin.readline(MAX_LINE))
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"cannot use the token: {error}") from error
    if not token:
        raise UsageError("cannot sign in: there is no token on stdin")
    return token
