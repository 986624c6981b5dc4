"""Cached files that notice damage: each has the SHA-256 of its content, in it or beside it.

A seal protects against a disk, an editor or a half-finished copy, not against a user who may write
to the cache and makes a new seal.
"""

import hashlib
import os
import time
from io import BufferedReader
from pathlib import Path

from common.files import write_atomic

DIGEST_CHARS = 64
_intact: set[tuple[str | int, ...]] = set()
"""What this process has read through: a large file is not read again while nothing changes it."""
SETTLED_S = 0.1
"""The clock of a file system ticks in steps of some milliseconds. A file that changed so shortly
before it is read may change again without another time."""


def write_sealed(path: Path, data: bytes) -> None:
    """Replace the content of `path` by the digest of `data`, a line feed, and `data`."""
    write_atomic(path, hashlib.sha256(data).hexdigest().encode() + b"\n" + data)


def read_sealed(path: Path) -> bytes | None:
    """Return what `write_sealed` wrote; None if there is no such file or it is damaged."""
    try:
        head, _, data = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    return data if head.decode("latin-1") == hashlib.sha256(data).hexdigest() else None


def seal_file(path: Path, replaced: Path) -> None:
    """Write the digest of the complete file `path` beside `replaced`, whose place it takes next.

    A process that is killed between the two leaves a file that does not match, never the reverse.
    """
    with open(path, "rb") as stream:
        text = hashlib.file_digest(stream, "sha256").hexdigest()
    write_atomic(_seal_of(replaced), f"{text}\n".encode())


def sealed_digest(path: Path) -> str:
    """Return the digest that the file's seal says, without reading the file; "" without a seal."""
    try:
        text = _seal_of(path).read_text(encoding="latin-1").strip()
    except FileNotFoundError:
        return ""
    return text if len(text) == DIGEST_CHARS else ""


def is_intact(path: Path) -> bool:
    """Return whether the file exists and matches the seal beside it; it is read through."""
    try:
        with open(path, "rb") as stream:
            return sealed_digest(path) != "" and matches_seal(stream, path)
    except FileNotFoundError:
        return False


def matches_seal(stream: BufferedReader, path: Path) -> bool:
    """Return whether the open file has the content that the seal of `path` says, if there is one.

    The stream is at its start again afterwards.
    """
    wanted = sealed_digest(path)
    before = os.fstat(stream.fileno())
    key = _key_of(wanted, before)
    if not wanted or key in _intact:
        return True
    is_settled = time.time() - max(before.st_mtime, before.st_ctime) >= SETTLED_S
    found = hashlib.file_digest(stream, "sha256").hexdigest()
    stream.seek(0)
    if found == wanted and is_settled and key == _key_of(wanted, os.fstat(stream.fileno())):
        _intact.add(key)
    return found == wanted


def _key_of(wanted: str, state: os.stat_result) -> tuple[str | int, ...]:
    """Return the digest that a file should have, and what changes when it is written to."""
    times = (state.st_mtime_ns, state.st_ctime_ns)
    return (wanted, state.st_dev, state.st_ino, state.st_size, *times)


def _seal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
