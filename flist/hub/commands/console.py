"""What the commands share that change a hub's database on its own machine."""

import argparse
import getpass
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import UsageError
from common.publickeys import parse_public_keys
from common.text import printable
from flist.hub.commands.shared import opened
from flist.hub.library.hub import Hub
from flist.hub.settings import HubSettings

if TYPE_CHECKING:
    Actions = argparse._SubParsersAction[argparse.ArgumentParser]
Call = Callable[[Hub, Mapping[str, Any]], None]
MAX_LINE = 1026


def add_actions(parser: argparse.ArgumentParser) -> "Actions":
    """Return where the actions of a command are added, each by `add_action`."""
    return parser.add_subparsers(required=True, dest="action", metavar="ACTION")


def add_action(actions: "Actions", name: str, text: str, call: Call) -> argparse.ArgumentParser:
    """Add an action that is done by `call`; return its parser."""
    parser = actions.add_parser(name, help=text)
    add_state_flags(parser)
    parser.set_defaults(call=call)
    return parser


def add_state_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where the hub's state is."""
    parser.add_argument("--root", metavar="PATH", help="the hub's folder")
    parser.add_argument("--database", metavar="URL", help="of a PostgreSQL database, if it has one")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings in TOML; flags override them"
    )


def run(settings: HubSettings, options: dict[str, Any]) -> int:
    """Do what the action's `call` does with the open hub."""
    with opened(settings) as hub:
        options["call"](hub, options)
    return 0


def read_password() -> str:
    """Return a password: typed twice on a terminal, else the first line of stdin."""
    if not sys.stdin.isatty():
        return sys.stdin.readline(MAX_LINE).rstrip("\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        raise UsageError("cannot use the password: the second one is another")
    return password


def read_keys(path: Path) -> list[str]:
    """Return the public keys in a file, in hex. Raises `UsageError`."""
    try:
        return [key.hex() for key in parse_public_keys(path.read_text())]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot read keys {path}: {reason}") from error


def show(rows: Sequence[Mapping[str, Any]], *, is_json: bool) -> None:
    """Print rows as JSON, or as a table with a line for each."""
    if is_json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    texts = [[cell(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def cell(value: object) -> str:
    """Return a value as it is shown in a table."""
    if isinstance(value, list):
        value = ",".join(map(str, value))
    return printable("-" if value in (None, "") else str(value))


def show_time(time_s: float | None) -> str | None:
    """Return a time in UTC, or None."""
    return None if time_s is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_s))


def talk(text: str) -> None:
    """Say something on stderr."""
    sys.stderr.write(f"{text}\n")
