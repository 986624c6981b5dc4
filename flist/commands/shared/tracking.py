"""The table of downloads per block that `track`, `track-blocks` and `track-website` print."""

import argparse
import json
import sys
from collections.abc import Iterable
from typing import NamedTuple

from flist.server.client import ServerClient


class Row(NamedTuple):
    """One block; for a block that the server does not have, the numbers are 0."""

    name: str
    downloads: int
    size_bytes: int
    is_there: bool


def add_details(parser: argparse.ArgumentParser) -> None:
    """Add -d/--details and --json."""
    parser.add_argument("-d", "--details", action="store_true", help="show each block")
    parser.add_argument("--json", action="store_true")


def ask_rows(client: ServerClient, names: Iterable[str]) -> list[Row]:
    """Ask the server about each of the blocks once."""
    rows = []
    for name in dict.fromkeys(names):
        answer = client.downloads(name)
        rows.append(Row(name, *(answer or (0, 0)), answer is not None))
    return rows


def show_rows(rows: list[Row], options: argparse.Namespace) -> int:
    """Print the totals, and with --details each block; return 1 if a block is missing, else 0."""
    missing = [row.name for row in rows if not row.is_there]
    total: dict[str, object] = {
        "blocks": len(rows),
        "bytes": sum(row.size_bytes for row in rows),
        "downloads": sum(row.downloads for row in rows),
        "missing": len(missing),
    }
    if options.json:
        found = [row._asdict() for row in rows] if options.details else []
        sys.stdout.write(json.dumps({**total, "details": found}) + "\n")
        return 1 if missing else 0
    if options.details:
        for row in rows:
            note = "" if row.is_there else "  missing"
            sys.stdout.write(f"{row.name} {row.downloads:>10} {row.size_bytes:>10}{note}\n")
    sys.stdout.write("".join(f"{key}: {value}\n" for key, value in total.items()))
    return 1 if missing else 0
