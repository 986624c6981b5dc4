"""What the last pack of a directory found, so that the next one reads only what has changed.

A file is taken as unchanged if device, inode, size, time of change and time of its inode's change
are the same. Files that were changed just before they were read are not remembered: a later change
could leave the same times. One file per packed directory in the user's cache, with its own hash
before it; whatever is wrong with it means that everything is read.
"""

import contextlib
import itertools
import marshal
import os
import struct
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from common.errors import ZosError
from common.paths import cache_dir
from flist.model import HASH_BYTES, Block

VERSION = 3
DIGEST_BYTES = 32
KEPT_MEMORIES = 32
RACY_NS = 2_000_000_000
HASHES = struct.Struct(f"{HASH_BYTES}s" * 3)
BLOCK_BYTES = HASHES.size


Stamp = tuple[int, int, int, int, int]
"""How a file looked (device, number, size, mtime, ctime, both in ns): when all of this is the same,
its content is taken to be the same."""
MTIME, CTIME = 3, 4

Entry = tuple[Stamp, bytes]
"""A file's stamp, and its blocks: id, key and check of each, joined."""


class Memory(NamedTuple):
    """What is remembered: files by path, and rows of `zos_part` by block id."""

    files: Mapping[bytes, Entry]
    parts: Mapping[bytes, bytes]


NO_MEMORY = Memory({}, {})


def memory_path(root: Path) -> Path | None:
    """Return where the memory of the directory `root` is kept; None: this user has no place."""
    name = blake2b(os.fsencode(root.resolve()), digest_size=16).hexdigest()
    try:
        return cache_dir("pack") / name
    except ZosError:
        return None  # every pack reads everything


def recall(path: Path | None) -> Memory:
    """Return what `path` remembers; nothing if it is not whole."""
    if path is None:
        return NO_MEMORY
    try:
        data = path.read_bytes()
    except OSError:
        return NO_MEMORY
    digest, body = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    if blake2b(body, digest_size=DIGEST_BYTES).digest() != digest:
        return NO_MEMORY
    with contextlib.suppress(ValueError, EOFError, TypeError):
        version, *fields = marshal.loads(body)  # noqa: S302 our own file, its hash checked
        if version == VERSION:
            return Memory(*fields)
    return NO_MEMORY


def remember(path: Path | None, memory: Memory) -> None:
    """Write a memory; a full disk costs only the next pack's speed.

    It is not made durable: after a power cut its hash would show what is missing.
    """
    if path is None:
        return
    body = marshal.dumps((VERSION, dict(memory.files), dict(memory.parts)))
    scratch = path.with_name(f".{path.name}-{os.getpid()}")
    with contextlib.suppress(OSError):
        try:
            handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(handle, "wb") as stream:
                stream.write(blake2b(body, digest_size=DIGEST_BYTES).digest() + body)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
        forget_oldest(path.parent)


def forget_oldest(folder: Path) -> None:
    """Keep the memories of the directories that were packed last."""
    ages = sorted((path.stat().st_mtime, path) for path in folder.iterdir())
    for _, path in ages[:-KEPT_MEMORIES]:
        path.unlink(missing_ok=True)


def find_known(entries: Mapping[bytes, Entry], path: bytes, stamp: Stamp) -> bytes:
    """Return the joined blocks of a file that has not changed, or none."""
    known = entries.get(path)
    return known[1] if known is not None and known[0] == stamp else b""


def join_blocks(blocks: Iterable[Block]) -> bytes:
    """Return the ids, keys and checks of blocks, joined."""
    return b"".join(itertools.chain.from_iterable(blocks))


def split_blocks(joined: bytes) -> list[Block]:
    """Return the blocks of joined ids, keys and checks."""
    return [Block(*hashes) for hashes in HASHES.iter_unpack(joined)]


def is_settled(stamp: Stamp, now_ns: int) -> bool:
    """Whether a change after `now_ns` would show in the times of a file."""
    return max(stamp[MTIME], stamp[CTIME]) <= now_ns - RACY_NS
