"""A digest of each directory of a flist with all that is below it.

Two directories with the same digest are the same, however many entries they have. It costs one pass
over the flist.
"""

import struct
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter

from flist.format.opening import AnyFlist
from flist.model import NO_META, ROOT_INO, Inode, Meta

BYTES = 16
MAX_ENTRIES = 2_000_000
"""A flist with more entries takes too long, and too much memory."""
NUMBERS = struct.Struct("<IIHIIQQ")


def make_digests(flist: AnyFlist) -> dict[int, bytes]:
    """Return the digests by inode number; none of a flist that is too large."""
    if flist.totals()[0] > MAX_ENTRIES:
        return {}
    contents, metas = digest_contents(flist), flist.all_meta()
    folders: dict[int, blake2b] = {}
    below: dict[int, list[int]] = {}
    for inode in flist.inodes():
        own = folders.get(inode.parent)
        if own is None:
            own = folders[inode.parent] = blake2b(digest_size=BYTES)
        own.update(describe(inode, metas.get(inode.content_ino, NO_META)))
        own.update(contents.get(inode.content_ino, b""))
        if inode.is_dir and inode.ino != ROOT_INO:
            below.setdefault(inode.parent, []).append(inode.ino)
    return join(folders, below)


def digest_contents(flist: AnyFlist) -> dict[int, bytes]:
    """Return a digest of the keys of each file's blocks, by inode number."""
    return {
        ino: blake2b(b"".join(block.key for _, block in rows), digest_size=BYTES).digest()
        for ino, rows in groupby(flist.all_blocks(), itemgetter(0))
    }


def describe(inode: Inode, meta: Meta) -> bytes:
    """Return the properties of an entry as bytes; no two entries that differ have the same."""
    size = 0 if inode.is_dir else inode.size  # a directory's size has no meaning
    more = b"" if meta == NO_META else repr(meta).encode()
    numbers = (inode.mode, inode.uid, inode.gid, size, inode.rdev)
    packed = NUMBERS.pack(len(inode.name), len(more), *numbers)
    return packed + inode.mtime_ns.to_bytes(16, "little", signed=True) + inode.name + more


def join(folders: dict[int, blake2b], below: dict[int, list[int]]) -> dict[int, bytes]:
    """Return the digests of the directories that a path leads to, each with those below it."""
    found: dict[int, bytes] = {}
    order = [ROOT_INO]
    seen = {ROOT_INO}
    for folder in order:  # grows during the loop
        inside = [ino for ino in below.get(folder, ()) if ino not in seen]
        seen.update(inside)
        order += inside
    for folder in reversed(order):  # each after what is below it
        total = blake2b(digest_size=BYTES)
        total.update(folders[folder].digest() if folder in folders else bytes(BYTES))
        for ino in below.get(folder, ()):
            total.update(found.get(ino, b""))
        found[folder] = total.digest()
    return found
