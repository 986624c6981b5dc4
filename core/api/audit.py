"""The audit log: every call, as lines of JSON in which each has the hash of the one before.

It is in RAM and bounded: the older half goes when it is full. What is there still forms a chain,
and the first line says what came before it, so who has kept earlier copies can join them.
"""

import hashlib
import json
import os
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from common.files import write_atomic
from core.errors import CoreError

BYTES_MAX = 1 << 20
MODE = 0o600
START = "0" * 64
TEXT_MAX_CHARS = 300


class AuditError(CoreError):
    """An audit log that was changed."""


class Audit:
    """Appends to the log at `path`. Safe to use from several threads."""

    def __init__(self, path: Path, bytes_max: int = BYTES_MAX) -> None:
        self.path = path
        self.bytes_max = bytes_max
        self._lock = threading.Lock()
        self._number, self._hash, self._size = 0, START, 0

    def open(self) -> None:
        """Go on with the log that an earlier process of this daemon has left, if it is whole."""
        try:
            lines = read_lines(self.path.read_bytes())
            last = check_chain(lines)
        except (OSError, AuditError):
            lines, last = [], None
        if last is None:
            write_atomic(self.path, b"", MODE)
            return
        self._number, self._hash = int(last["n"]), str(last["hash"])
        self._size = self.path.stat().st_size

    def write(self, **fields: Any) -> dict[str, Any]:
        """Append an entry, and return it."""
        with self._lock:
            short = {name: shorten(value) for name, value in fields.items()}
            entry = {"n": self._number + 1, "time": round(time.time(), 3), **short}
            entry["previous"] = self._hash
            entry["hash"] = hash_of(entry)
            line = json.dumps(entry).encode() + b"\n"
            if self._size + len(line) > self.bytes_max:
                self._drop_half()
            with open(self.path, "ab", opener=open_private) as stream:
                stream.write(line)
            self._number, self._hash = entry["n"], entry["hash"]
            self._size += len(line)
            return entry

    def lines(self) -> Generator[dict[str, Any]]:
        """Yield the entries that are kept."""
        with self._lock:
            data = self.path.read_bytes()
        yield from read_lines(data)

    def _drop_half(self) -> None:
        kept = self.path.read_bytes()[-(self.bytes_max // 2) :].partition(b"\n")[2]
        write_atomic(self.path, kept, MODE)
        self._size = len(kept)


def open_private(path: str, flags: int) -> int:
    """Open a file that only its owner may read."""
    return os.open(path, flags, MODE)


def shorten(value: Any) -> Any:
    """Return a value of bounded size."""
    return value[:TEXT_MAX_CHARS] if isinstance(value, str) else value


def hash_of(entry: dict[str, Any]) -> str:
    """Return the hash of an entry, which covers all its fields but the hash itself."""
    fields = {name: value for name, value in entry.items() if name != "hash"}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_lines(data: bytes) -> list[dict[str, Any]]:
    """Return the entries in a log. Raises `AuditError`."""
    try:
        lines = [json.loads(line) for line in data.splitlines()]
    except ValueError as error:
        raise AuditError("the audit log has a line that is not JSON") from error
    if not all(isinstance(line, dict) for line in lines):
        raise AuditError("the audit log has a line that is no entry")
    return lines


def check_chain(entries: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the last entry. Raises `AuditError` unless each follows the one before."""
    before: dict[str, Any] | None = None
    for entry in entries:
        number = entry.get("n")
        is_next = before is None or (
            entry.get("previous") == before["hash"] and number == before["n"] + 1
        )
        if not isinstance(number, int) or not is_next or entry.get("hash") != hash_of(entry):
            raise AuditError(f"the audit log was changed at entry {number}")
        before = entry
    return before
