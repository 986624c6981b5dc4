"""The history of a channel: one JSON object for each change, with the digest of the one before.

It is a target of the channel, so the channel's keys sign each of its states together with the
change itself. Who has an earlier state can tell whether history was rewritten.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from image.errors import ImageError

FIRST = "0" * 64
MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One change: who, when (UTC), what, why. `release` is what the channel holds afterwards.

    `sequence` is the version of the channel's metadata that made the change. `subject` is the
    release that was withdrawn, else `release`; `source` is the channel it was promoted from,
    `waves` are those in which running nodes take it, if there are.
    """

    sequence: int
    at: str
    by: str
    action: str
    release: str
    subject: str
    why: str
    source: str = ""
    previous: str = FIRST
    waves: str = ""


def append(data: bytes, entry: Entry) -> bytes:
    """Return the history `data` with one more entry, whose `previous` is set."""
    lines = data.splitlines(keepends=True)
    previous = digest_line(lines[-1]) if lines else FIRST
    row = asdict(entry) | {"previous": previous}
    if not entry.waves:
        del row["waves"]  # as earlier versions of this program have no such field
    return data + json.dumps(row).encode() + b"\n"


def parse_history(data: bytes, channel: str) -> list[Entry]:
    """Return the entries, oldest first. Raises `ImageError` if the chain is broken."""
    entries: list[Entry] = []
    previous = FIRST
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        try:
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError, RecursionError) as error:
            raise ImageError(f"cannot read entry {number} of the history of {channel}") from error
        if entry.previous != previous or not is_later(entry, entries):
            raise ImageError(f"the history of {channel} is broken at entry {number}")
        entries.append(entry)
        previous = digest_line(line)
    return entries


def is_later(entry: Entry, before: Sequence[Entry]) -> bool:
    """Return whether the entry's sequence is higher than that of the last one."""
    return not before or entry.sequence > before[-1].sequence


def digest_line(line: bytes) -> str:
    """Return what the next entry says of this line."""
    return hashlib.sha256(line).hexdigest()
