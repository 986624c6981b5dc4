"""`zos hub`: serve flists and their blocks over HTTP."""

import argparse
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import UsageError
from flist.commands.values import parse_path
from flist.hub.app import create_app
from flist.hub.users import MAX_PASSWORD, Users, user_line
from serving import listen as serving

MIN_TOKEN = 16
DEFAULT_LISTEN = "127.0.0.1:8081"


def main(argv: Sequence[str], prog: str) -> int:
    """Run one command of the hub."""
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve_parser = commands.add_parser("serve", help="serve a hub folder until SIGTERM or Ctrl-C")
    serve_parser.add_argument(
        "root",
        type=parse_path,
        metavar="ROOT",
        help="folder with flists/<repo>/<name>.fl and blocks/",
    )
    serve_parser.add_argument(
        "--listen", default=DEFAULT_LISTEN, metavar="HOST:PORT",
        help=f"default {DEFAULT_LISTEN}; port 0 takes a free one",
    )  # fmt: skip
    serve_parser.add_argument(
        "--tokens", type=parse_path, metavar="FILE",
        help="take blocks and flists from whoever has one of these tokens (one a line)",
    )  # fmt: skip
    serve_parser.add_argument(
        "--users", type=parse_path, metavar="FILE",
        help="let these users sign in for a token (lines of `user NAME`)",
    )  # fmt: skip
    user_parser = commands.add_parser("user", help="print a user's line for --users")
    user_parser.add_argument("name", metavar="NAME", help="the password is read from stdin")
    options = parser.parse_args(argv)
    if options.command == "user":
        return print_user(options.name)
    tokens = read_tokens(options.tokens) if options.tokens else []
    users = Users.read(options.users) if options.users else None
    return serve(options.root, options.listen, tokens, users)


def print_user(name: str) -> int:
    """Print the line of a user; a terminal does not show the password."""
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
    else:
        password = sys.stdin.readline(MAX_PASSWORD + 2).rstrip("\n")
    sys.stdout.write(user_line(name, password) + "\n")
    return 0


def read_tokens(path: Path) -> list[str]:
    """Return the tokens in a file: one a line, `#` starts a comment."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise UsageError(f"cannot read tokens {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read tokens {path}: it is no text") from error
    tokens = [line.partition("#")[0].strip() for line in lines]
    found = [token for token in tokens if token]
    if not found or min(map(len, found)) < MIN_TOKEN:
        raise UsageError(
            f"cannot read tokens {path}: none, or one shorter than {MIN_TOKEN} characters",
            hint="for example: openssl rand -hex 24",
        )
    return found


def serve(root: Path, listen: str, tokens: Sequence[str] = (), users: Users | None = None) -> int:
    """Serve `root`; prints the URL when it can be reached."""
    if not root.is_dir():
        raise UsageError(f"cannot serve {root}: it is not a directory")
    listener = serving.open_listener(*serving.parse_address(listen))

    def announce() -> None:
        sys.stdout.write(f"{serving.own_url(listener)}/\n")
        sys.stdout.flush()

    serving.serve(
        create_app(root, tokens, users), listener, announce, log_level="warning", access_log=False
    )
    return 0
