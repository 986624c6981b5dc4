"""A digest of each directory of a flist with all that is below it.

Two directories with the same digest are the same, however many entries they have; if theirs differ,
only their entries tell whether they do. It costs one pass over the flist, most of it in C.
"""

import marshal
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter
from typing import Any

from flist.format.database import EVERY, FlistFile
from flist.format.opening import AnyFlist
from flist.model import NO_META, ROOT_INO, Inode

BYTES = 16
PLAIN = 2
"""The version of `marshal` in which the same values are always the same bytes."""
MAX_ENTRIES = 2_000_000
MAX_LINKS = 10_000
"""A flist with more entries, or more hard links, takes too long."""

# Numbers of inodes are left out: they change when something is added elsewhere.
ORDER = " ORDER BY inode.parent, inode.ino"
SELECT = "SELECT inode.parent, inode.name, "
NUMBERS = (
    "inode.mode, inode.uid, inode.gid, inode.rdev, inode.mtime,"
    " CASE inode.mode & 61440 WHEN 16384 THEN 0 ELSE inode.size END"
)
JOIN = " NOT INDEXED CROSS JOIN inode NOT INDEXED ON inode.ino = "
Z = " LEFT JOIN zos_inode z NOT INDEXED ON z.ino = inode.ino"
ENTRIES = SELECT + NUMBERS + EVERY + " WHERE inode.ino != 1" + ORDER
EXTENDED = SELECT + NUMBERS + ", z.name, coalesce(z.mtime_ns, 0), z.extents" + EVERY + Z
EXTENDED += " WHERE inode.ino != 1" + ORDER
KEYS = SELECT + "block.key FROM block" + JOIN + "block.ino"  # noqa: S608 only constants
KEYS += ORDER + ", block.rowid"
TARGETS = SELECT + "extra.data FROM extra" + JOIN + "extra.ino" + ORDER  # noqa: S608
XATTRS = SELECT + "zos_xattr.name, zos_xattr.value FROM zos_xattr" + JOIN + "zos_xattr.ino"  # noqa: S608
XATTRS += ORDER + ", zos_xattr.name"
LINKS = "SELECT inode.parent, z.same_as FROM zos_inode z" + JOIN + "z.ino"  # noqa: S608
LINKS += " WHERE z.same_as != 0" + ORDER
FOLDERS = "SELECT parent, ino" + EVERY + " WHERE mode & 61440 = 16384 AND ino != 1" + ORDER
Rows = Iterable[tuple[Any, ...]]


def make_digests(flist: AnyFlist) -> dict[int, bytes]:
    """Return the digests by inode number; none of a flist that takes too long.

    One thread at a time may do this. Raises `FormatError`.
    """
    if flist.totals()[0] > MAX_ENTRIES:
        return {}
    if isinstance(flist, FlistFile):
        links = list(flist.stream(LINKS)) if flist.has_extension else []
        if len(links) > MAX_LINKS:
            return {}
        tables = [*map(flist.stream, list_queries(flist)), list_linked(flist, links)]
        return join(tables, flist.stream(FOLDERS))
    inodes = sorted(flist.inodes(), key=lambda inode: (inode.parent, inode.ino))
    inodes = [inode for inode in inodes if inode.ino != ROOT_INO]
    folders = [(inode.parent, inode.ino) for inode in inodes if inode.is_dir]
    return join([(describe(flist, inode) for inode in inodes)], folders)


def list_queries(flist: FlistFile) -> list[str]:
    """Return the queries for all that is compared; each row begins with its directory."""
    if flist.has_extension:
        return [EXTENDED, KEYS, TARGETS, XATTRS]
    return [ENTRIES, KEYS, TARGETS]


def list_linked(flist: FlistFile, links: Rows) -> Iterator[tuple[Any, ...]]:
    """Yield what hard links share with their first name, which may be in another directory."""
    for folder, ino in links:
        yield folder, [block.key for block in flist.blocks(ino)], describe_meta(flist, ino)


def describe(flist: AnyFlist, inode: Inode) -> tuple[Any, ...]:
    """Return what is compared of an entry, after the number of its directory."""
    size = 0 if inode.is_dir else inode.size  # a directory's size has no meaning
    numbers = (inode.mode, inode.uid, inode.gid, size, inode.rdev, inode.mtime_ns)
    ino = inode.content_ino
    keys = [block.key for block in flist.blocks(ino)]
    return inode.parent, inode.name, numbers, keys, describe_meta(flist, ino)


def describe_meta(flist: AnyFlist, ino: int) -> str:
    """Return the metadata of an inode as text."""
    meta = flist.meta(ino)
    return "" if meta == NO_META else repr(meta)


def join(tables: Iterable[Rows], folders: Rows) -> dict[int, bytes]:
    """Return the digests of the directories that a path leads to, each with those below it.

    The rows of each of `tables` come with those of a directory together, whose number is first.
    """
    own: dict[int, bytearray] = {}
    for number, table in enumerate(tables):
        for folder, rows in groupby(table, itemgetter(0)):
            data = marshal.dumps([row[1:] for row in rows], PLAIN)
            found = own.setdefault(folder, bytearray())
            found += bytes([number]) + blake2b(data, digest_size=BYTES).digest()
    below = {parent: [ino for _, ino in rows] for parent, rows in groupby(folders, itemgetter(0))}
    digests: dict[int, bytes] = {}
    for folder in reversed(in_order(below)):  # each after what is below it
        inside = b"".join(digests.get(ino, b"") for ino in below.get(folder, ()))
        data = bytes(own.get(folder, b"")) + b"/" + inside
        digests[folder] = blake2b(data, digest_size=BYTES).digest()
    return digests


def in_order(below: dict[int, list[int]]) -> list[int]:
    """Return the directories that a path leads to, each before what is below it."""
    order, seen = [ROOT_INO], {ROOT_INO}
    for folder in order:  # grows during the loop
        inside = [ino for ino in below.get(folder, ()) if ino not in seen]
        seen.update(inside)
        order += inside
    return order
