"""`zos hub`: serve flists and their blocks over HTTP."""

import argparse
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import UsageError
from flist.hub.settings import HubSettings
from flist.hub.users import MAX_PASSWORD, Users, user_line
from serving.listen import open_listener, own_url, parse_address
from serving.settings import add_flags, load_settings

MIN_TOKEN = 16


def main(argv: Sequence[str], prog: str) -> int:
    """Run one command of the hub."""
    flags = vars(make_parser(prog).parse_args(argv))
    if flags.pop("command") == "user":
        return print_user(flags["name"])
    place, config = flags.pop("place"), flags.pop("config")
    root = flags["root"] if place is None else place
    return serve(load_settings(HubSettings, {**flags, "root": root}, config))


def make_parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of this verb's arguments."""
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve_parser = commands.add_parser("serve", help="serve a hub folder until SIGTERM or Ctrl-C")
    serve_parser.add_argument("place", nargs="?", metavar="ROOT", help="the same as --root")
    add_flags(serve_parser, HubSettings)
    user_parser = commands.add_parser("user", help="print a user's line for --users")
    user_parser.add_argument("name", metavar="NAME", help="the password is read from stdin")
    return parser


def print_user(name: str) -> int:
    """Print the line of a user; a terminal does not show the password."""
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
    else:
        password = sys.stdin.readline(MAX_PASSWORD + 2).rstrip("\n")
    sys.stdout.write(user_line(name, password) + "\n")
    return 0


def read_tokens(path: Path) -> list[str]:
    """Return the tokens in a file: one per line, `#` starts a comment."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise UsageError(f"cannot read tokens {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read tokens {path}: it is not text") from error
    tokens = [line.partition("#")[0].strip() for line in lines]
    found = [token for token in tokens if token]
    if not found or min(map(len, found)) < MIN_TOKEN:
        raise UsageError(
            f"cannot read tokens {path}: none, or one shorter than {MIN_TOKEN} characters",
            hint="for example: openssl rand -hex 24",
        )
    return found


def serve(settings: HubSettings) -> int:
    """Serve the hub folder; print the URL once the hub can be reached."""
    from flist.hub.app import create_app
    from serving.run import run

    if not settings.root.is_dir():
        raise UsageError(f"cannot serve {settings.root}: it is not a directory")
    tokens = read_tokens(settings.tokens) if settings.tokens else []
    users = Users.read(settings.users) if settings.users else None
    app = create_app(settings.root, tokens, users, settings)
    listener = open_listener(*parse_address(settings.listen))

    def announce() -> None:
        url = own_url(listener, is_tls=settings.tls_cert is not None)
        sys.stdout.write(f"{url}/\n")
        sys.stdout.flush()

    run(app, listener, announce)
    return 0
