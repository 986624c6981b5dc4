"""An entry of the log: a line of JSON, whose bytes are the leaf.

`{"at": seconds, "kind": KIND, ...}` in that order, then what the kind has: a message that was
accepted has `message` (as it was signed) and `verdict`, what the registry thought of it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from registry.errors import DamagedError
from registry.state.tables import LOG_ENTRIES

FARM, REPORT, PAUSE = "farm", "report", "pause"
PAGE = 256
PAGE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that is read; `leaf` is None, and `fields` are empty, if it is kept no more."""

    position: int
    at_s: float
    kind: str
    subject: int
    leaf: bytes | None

    @property
    def fields(self) -> dict[str, Any]:
        """Return what the leaf says. Raises `DamagedError`."""
        return parse_leaf(self.leaf, self.position) if self.leaf is not None else {}


def read_entries(connection: Connection, start: int, count: int = PAGE) -> list[Entry]:
    """Return a page of entries from a position on: as many as have `PAGE_BYTES`, at least one."""
    place = LOG_ENTRIES.c.position
    after = select(LOG_ENTRIES).where(place >= start).order_by(place)
    sizes = after.with_only_columns(func.length(LOG_ENTRIES.c.leaf)).limit(min(count, PAGE))
    fitting = total = 0
    for size in connection.execute(sizes).scalars():
        total += size or 0
        if fitting and total > PAGE_BYTES:
            break
        fitting += 1
    return [Entry(*row) for row in connection.execute(after.limit(fitting))] if fitting else []


def every_entry(connection: Connection) -> Iterator[Entry]:
    """Yield all entries in their order."""
    start = 0
    while page := read_entries(connection, start):
        yield from page
        start = page[-1].position + 1


def make_leaf(at_s: float, kind: str, fields: Mapping[str, Any]) -> bytes:
    """Return the bytes of an entry."""
    whole = {"at": at_s, "kind": kind, **fields}
    return json.dumps(whole, separators=(",", ":"), allow_nan=False).encode()


def parse_leaf(leaf: bytes, position: int) -> dict[str, Any]:
    """Return what a leaf says. Raises `DamagedError`."""
    try:
        fields = json.loads(leaf)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise DamagedError(f"entry {position} of the log is no JSON object")
    return fields
