"""What the last pack of a directory found, so that the next one reads only what has changed.

A file is taken as unchanged if device, inode, size, time of change and time of its inode's change
are the same. Files that were changed just before they were read are not remembered: a later change
could leave the same times. One file per packed directory in the user's cache, with its own hash
before it; whatever is wrong with it means that everything is read.
"""

import contextlib
import marshal
import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from common.files import write_atomic
from common.paths import cache_dir
from flist.model import HASH_BYTES, Block

VERSION = 1
DIGEST_BYTES = 32
KEPT_MEMORIES = 32
RACY_NS = 2_000_000_000
PAIR_BYTES = 2 * HASH_BYTES


class Stamp(NamedTuple):
    """How a file looked: when all of this is the same, its content is taken to be the same."""

    device: int
    number: int
    size: int
    mtime_ns: int
    ctime_ns: int


Entry = tuple[tuple[int, ...], bytes]


def memory_path(root: Path) -> Path:
    """Return where the memory of the directory `root` is kept."""
    name = blake2b(os.fsencode(root.resolve()), digest_size=16).hexdigest()
    return cache_dir("pack") / name


def recall(path: Path) -> dict[bytes, Entry]:
    """Return what `path` remembers: (stamp, blocks) by file path; nothing if it is not whole."""
    try:
        data = path.read_bytes()
    except OSError:
        return {}
    digest, body = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    if blake2b(body, digest_size=DIGEST_BYTES).digest() != digest:
        return {}
    with contextlib.suppress(ValueError, EOFError, TypeError):
        version, entries = marshal.loads(body)  # noqa: S302 our own file, its hash checked
        if version == VERSION:
            found: dict[bytes, Entry] = entries
            return found
    return {}


def remember(path: Path, entries: dict[bytes, Entry]) -> None:
    """Write a memory; a full disk costs only the next pack's speed."""
    body = marshal.dumps((VERSION, entries))
    with contextlib.suppress(OSError):
        write_atomic(path, blake2b(body, digest_size=DIGEST_BYTES).digest() + body, 0o600)
        forget_oldest(path.parent)


def forget_oldest(folder: Path) -> None:
    """Keep the memories of the directories that were packed last."""
    ages = sorted((path.stat().st_mtime, path) for path in folder.iterdir())
    for _, path in ages[:-KEPT_MEMORIES]:
        path.unlink(missing_ok=True)


def find_known(entries: Mapping[bytes, Entry], path: bytes, stamp: Stamp) -> tuple[Block, ...]:
    """Return the blocks of a file that has not changed, or none."""
    known = entries.get(path)
    if known is None or known[0] != tuple(stamp):
        return ()
    data = known[1]
    pairs = (data[start : start + PAIR_BYTES] for start in range(0, len(data), PAIR_BYTES))
    return tuple(Block(pair[:HASH_BYTES], pair[HASH_BYTES:]) for pair in pairs)


def make_entry(stamp: Stamp, blocks: list[Block], now_ns: int) -> Entry | None:
    """Return what to remember of a file; None if its times say too little."""
    if max(stamp.mtime_ns, stamp.ctime_ns) > now_ns - RACY_NS:
        return None
    return tuple(stamp), b"".join(block.id + block.key for block in blocks)
