"""An entry of the log: a line of JSON, whose bytes are the leaf.

`{"at": seconds, "kind": KIND, ...}` in that order, then what the kind has: a message that was
accepted has `message` (as it was signed) and `verdict`, what the registry thought of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.errors import DamagedError

FARM, REPORT, PAUSE = "farm", "report", "pause"


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
