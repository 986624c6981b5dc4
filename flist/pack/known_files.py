"""The files that the last pack of a directory has read, so that the next one reads only changes.

A file is taken as unchanged if its device, inode, size, mtime and ctime are the same. A file that
changed just before it was read is not recorded: a later change could leave the same times. There is
one record per packed directory in the user's cache, with a hash at its start. If it is damaged, the
next pack reads everything.
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

VERSION = 4
DIGEST_BYTES = 32
KEPT_RECORDS = 32
RACY_NS = 2_000_000_000
"""A change this soon after another may leave the same times."""
HASHES = struct.Struct(f"{HASH_BYTES}s" * 3)
BLOCK_BYTES = HASHES.size

Stamp = tuple[int, int, int, int, int]
"""Device, inode, size, mtime and ctime (both in ns) of a file."""
MTIME, CTIME = 3, 4

Entry = tuple[Stamp, bytes]
"""A file's stamp and its joined blocks: id, key and check of each."""


class KnownFiles(NamedTuple):
    """Entries of files by path below the directory, and rows of `zos_part` by block id."""

    files: Mapping[bytes, Entry]
    parts: Mapping[bytes, bytes]


NOTHING_KNOWN = KnownFiles({}, {})


def known_files_path(root: Path) -> Path | None:
    """Return the path of the record for the directory `root`; None if the user has no cache."""
    name = blake2b(os.fsencode(root.resolve()), digest_size=16).hexdigest()
    try:
        return cache_dir("pack") / name
    except ZosError:
        return None


def load_known_files(path: Path | None) -> KnownFiles:
    """Return the record at `path`, or nothing if there is none or it is damaged."""
    if path is None:
        return NOTHING_KNOWN
    try:
        data = path.read_bytes()
    except OSError:
        return NOTHING_KNOWN
    digest, body = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    if blake2b(body, digest_size=DIGEST_BYTES).digest() != digest:
        return NOTHING_KNOWN
    with contextlib.suppress(ValueError, EOFError, TypeError):
        version, *fields = marshal.loads(body)  # noqa: S302 our own file, its hash checked
        if version == VERSION:
            return KnownFiles(*fields)
    return NOTHING_KNOWN


def save_known_files(path: Path | None, known: KnownFiles) -> None:
    """Write a record. If that fails, the next pack only takes longer.

    The file is not synced: its hash shows what a power cut has destroyed.
    """
    if path is None:
        return
    body = marshal.dumps((VERSION, dict(known.files), dict(known.parts)))
    scratch = path.with_name(f".{path.name}-{os.getpid()}")
    with contextlib.suppress(OSError):
        try:
            handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(handle, "wb") as stream:
                stream.write(blake2b(body, digest_size=DIGEST_BYTES).digest() + body)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
        remove_oldest(path.parent)


def remove_oldest(folder: Path) -> None:
    """Remove all records but those of the directories that were packed last."""
    ages = sorted((path.stat().st_mtime, path) for path in folder.iterdir())
    for _, path in ages[:-KEPT_RECORDS]:
        path.unlink(missing_ok=True)


def find_known(entries: Mapping[bytes, Entry], path: bytes, stamp: Stamp) -> bytes:
    """Return the joined blocks of a file that has not changed, or b""."""
    known = entries.get(path)
    return known[1] if known is not None and known[0] == stamp else b""


def join_blocks(blocks: Iterable[Block]) -> bytes:
    """Return the joined ids, keys and checks of blocks."""
    return b"".join(itertools.chain.from_iterable(blocks))


def split_blocks(joined: bytes) -> list[Block]:
    """Return the blocks of joined ids, keys and checks."""
    return [Block(*hashes) for hashes in HASHES.iter_unpack(joined)]


def is_settled(stamp: Stamp, now_ns: int) -> bool:
    """Return whether a change after `now_ns` would show in the times of a file."""
    return max(stamp[MTIME], stamp[CTIME]) <= now_ns - RACY_NS
