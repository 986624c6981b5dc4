"""Publish an earlier version of a flist on a hub again, with its signature."""

import argparse
import sys

from common.errors import UsageError
from flist.commands.shared.servers import add_server, add_token, connected
from flist.commands.shared.versions import Row, add_name, ask_versions

MIN_DIGITS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_server(parser)
    add_token(parser)
    add_name(parser)
    parser.add_argument(
        "digest", metavar="SHA256", nargs="?",
        help=f"the version, or its first digits (at least {MIN_DIGITS}), as `history` lists it; "
        "default: the one before the published one",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Roll back; print the version's hash."""
    with connected(options.server, options.token) as client:
        row = choose(ask_versions(client, options.name), options.digest)
        client.roll_back(options.name, row["digest"])
    sys.stdout.write(f"{row['digest']}\n")
    return 0


def choose(rows: list[Row], digest: str | None) -> Row:
    """Return the version that is meant. Raises `UsageError`."""
    if digest is None:
        earlier = [row for row in rows if not row["is_current"]]
        if not earlier:
            raise UsageError("cannot roll back: the hub keeps no earlier version")
        return earlier[0]
    found = [row for row in rows if row["digest"].startswith(digest)]
    if len(digest) < MIN_DIGITS or len(found) != 1:
        raise UsageError(
            f"cannot roll back to {digest!r}: it does not name one version",
            hint="`history` lists them",
        )
    return found[0]
