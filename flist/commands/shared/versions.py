"""The versions of a flist on a hub, as its answer lists them."""

import argparse
import re
from typing import Any

from common.errors import UsageError
from flist.commands.publish import NAME
from flist.errors import StoreError
from flist.server import api
from flist.server.client import ServerClient

DIGEST = re.compile(r"[0-9a-f]{64}")
FIELDS = {"digest": str, "size": int, "published": int, "is_current": bool, "is_signed": bool}
Row = dict[str, Any]


def add_name(parser: argparse.ArgumentParser) -> None:
    """Add REPO/NAME.fl."""
    parser.add_argument("name", metavar="REPO/NAME.fl")


def ask_versions(client: ServerClient, name: str) -> list[Row]:
    """Return the versions of the flist `name`, the published one first."""
    if not re.fullmatch(NAME, name):
        raise UsageError(f"cannot ask for {name!r}", hint="REPO/NAME.fl")
    answer = client.ask_json("GET", f"{api.HISTORY}/{name}")
    if answer is None:
        raise StoreError(f"cannot find {name}: {client.url} has no such flist, or keeps no history")
    rows = api.read_list(answer, "versions")
    if not rows or not all(is_row(row) for row in rows):
        raise StoreError(f"cannot understand {client.url}: it lists no versions")
    return rows


def is_row(row: object) -> bool:
    """Return whether `row` describes a version."""
    if not isinstance(row, dict) or not DIGEST.fullmatch(str(row.get("digest"))):
        return False
    return all(type(row.get(name)) is kind for name, kind in FIELDS.items())
