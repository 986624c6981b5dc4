"""Writes `.fl` files: the same tree gives the same bytes on every machine."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from common.files import check_writable, write_atomic
from flist.errors import FlistError
from flist.format.rows import EXTENT
from flist.model import HASH_BYTES, NS, Block, Inode, Meta, Route

SCHEMA = """
CREATE TABLE inode (
    ino INTEGER PRIMARY KEY AUTOINCREMENT,
    parent INTEGER,
    name VARCHAR(255),
    size INTEGER,
    uid INTEGER,
    gid INTEGER,
    mode INTEGER,
    rdev INTEGER,
    ctime INTEGER,
    mtime INTEGER
);
CREATE TABLE extra (
    ino INTEGER PRIMARY KEY,
    data VARCHAR(4096)
);
CREATE TABLE block (
    ino INTEGER,
    id VARCHAR(32),
    key VARCHAR(32)
);
CREATE TABLE tag (
    key VARCHAR(10) PRIMARY KEY,
    value VARCHAR(255)
);
CREATE TABLE route (
    start integer,
    end integer,
    url VARCHAR(2048)
);
"""
INDEXES = """
CREATE INDEX parents ON inode (parent);
CREATE INDEX names ON inode (name);
CREATE INDEX block_ino ON block (ino);
"""
EXTENSION = """
CREATE TABLE zos_inode (
    ino INTEGER PRIMARY KEY,
    name BLOB,
    ctime_ns INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    same_as INTEGER NOT NULL,
    nlink INTEGER NOT NULL,
    extents BLOB
);
CREATE TABLE zos_xattr (
    ino INTEGER,
    name BLOB,
    value BLOB,
    PRIMARY KEY (ino, name)
) WITHOUT ROWID;
"""
CHECKS = "CREATE TABLE zos_check (ino INTEGER PRIMARY KEY, checks BLOB NOT NULL)"
PARTS = "CREATE TABLE zos_part (id BLOB PRIMARY KEY, parts BLOB) WITHOUT ROWID"
# The header names the library that wrote last, and counts changes; readers ignore both.
CHANGE_COUNTER, VERSION_VALID_FOR, LIBRARY_VERSION = 24, 92, 96
HEADER_FIELDS = ((CHANGE_COUNTER, 1), (VERSION_VALID_FOR, 1), (LIBRARY_VERSION, 3_040_000))


class Content(NamedTuple):
    """All that a flist holds; `blocks` and `meta` are by inode number, `parts` by block id: rows
    of `flist.blocks.parts`, of what blocks they are known."""

    inodes: Sequence[Inode]
    blocks: Mapping[int, Sequence[Block]]
    meta: Mapping[int, Meta]
    tags: Mapping[str, str]
    routes: Sequence[Route]
    parts: Mapping[bytes, bytes] = MappingProxyType({})


def check_output(path: Path) -> None:
    """Raise the `FlistError` of a place where no flist can be written, before any work."""
    try:
        check_writable(path)
    except OSError as error:
        raise FlistError(f"cannot write {path}: {error.strerror}") from error


def write_flist(path: Path, content: Content) -> None:
    """Make `path` a flist of `content`, whole or not at all."""
    with Draft() as draft:
        draft.write(path, content)


class Draft:
    """A flist that is made in memory; its inodes may come before its blocks are known."""

    def __enter__(self) -> "Draft":
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.inodes: Sequence[Inode] | None = None
        self.extension: list[tuple[object, ...]] = []
        return self

    def __exit__(self, *_exc: object) -> None:
        self.connection.close()

    def begin(self, inodes: Sequence[Inode], meta: Mapping[int, Meta]) -> None:
        """Write the inodes, and where links lead."""
        self.connection.execute("PRAGMA page_size = 4096")
        self.connection.execute("BEGIN")
        for statement in SCHEMA.split(";")[:-1]:
            self.connection.execute(statement)
        fill_inodes(self.connection, inodes, meta)
        rows = (extension_row(inode, meta.get(inode[0])) for inode in inodes)
        self.extension = [row for row in rows if row is not None]
        self.inodes = inodes

    def write(self, path: Path, content: Content) -> None:
        """Make `path` a flist of `content`, whole or not at all."""
        every = content.blocks.values()
        if any(len(block.id) != HASH_BYTES for blocks in every for block in blocks):
            reason = f"cannot write {path}: it would have blocks of the older format"
            raise FlistError(reason, hint="`convert` first")
        try:
            write_atomic(path, self.complete(content))
        except (OSError, sqlite3.Error) as error:
            reason = (isinstance(error, OSError) and error.strerror) or str(error)
            raise FlistError(f"cannot write {path}: {reason}") from error

    def complete(self, content: Content) -> bytes:
        """Return the file's bytes. If it began with other inodes it begins again: what was written
        over would show in the bytes, which are to be the same for the same tree."""
        if self.inodes != content.inodes:
            self.__exit__()
            self.__enter__()
            self.begin(content.inodes, content.meta)
        fill_tables(self.connection, content)
        fill_extension(self.connection, self.extension, content.meta)
        fill_checks(self.connection, content)
        if content.parts:
            self.connection.execute(PARTS)
            rows = sorted(content.parts.items())
            self.connection.executemany("INSERT INTO zos_part VALUES (?, ?)", rows)
        for statement in INDEXES.split(";")[:-1]:
            self.connection.execute(statement)
        self.connection.execute("COMMIT")
        return fix_header(self.connection.serialize())


def fill_inodes(
    connection: sqlite3.Connection, inodes: Sequence[Inode], meta: Mapping[int, Meta]
) -> None:
    """Fill the two of upstream's tables that have nothing to do with content."""
    connection.executemany(
        "INSERT INTO inode VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (ino, parent, name.decode(errors="replace"), size, uid, gid, mode, rdev,
             ctime_ns // NS, mtime_ns // NS)
            for ino, parent, name, size, uid, gid, mode, rdev, ctime_ns, mtime_ns, _, _ in inodes
        ),
    )  # fmt: skip
    targets = ((ino, m.target) for ino, m in meta.items() if m.target is not None)
    connection.executemany("INSERT INTO extra VALUES (?, ?)", sorted(targets))


def fill_tables(connection: sqlite3.Connection, content: Content) -> None:
    """Fill upstream's other three tables."""
    blocks = content.blocks
    connection.executemany(
        "INSERT INTO block VALUES (?, ?, ?)",
        (
            (inode[0], block_id, key)
            for inode in content.inodes
            if inode[0] in blocks
            for block_id, key, _ in blocks[inode[0]]
        ),
    )
    connection.executemany("INSERT INTO tag VALUES (?, ?)", sorted(content.tags.items()))
    connection.executemany("INSERT INTO route VALUES (?, ?, ?)", content.routes)


def fill_checks(connection: sqlite3.Connection, content: Content) -> None:
    """Fill our table of checks, of the files whose blocks all have one."""
    found = ((ino, [block.check for block in blocks]) for ino, blocks in content.blocks.items())
    rows = [(ino, b"".join(checks)) for ino, checks in found if checks and all(checks)]
    if rows:
        connection.execute(CHECKS)
        connection.executemany("INSERT INTO zos_check VALUES (?, ?)", sorted(rows))


def fill_extension(
    connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]], metas: Mapping[int, Meta]
) -> None:
    """Fill our two tables of inodes, if the tree has anything that upstream's can't hold."""
    xattrs = [
        (ino, name, value)
        for ino, meta in sorted(metas.items())
        for name, value in sorted(meta.xattrs)
    ]
    if not rows and not xattrs:
        return
    for statement in EXTENSION.split(";")[:-1]:
        connection.execute(statement)
    connection.executemany("INSERT INTO zos_inode VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.executemany("INSERT INTO zos_xattr VALUES (?, ?, ?)", xattrs)


def extension_row(inode: Inode, meta: Meta | None) -> tuple[object, ...] | None:
    """Return the row of `zos_inode` for what upstream's row loses, or None."""
    ino, _, name, *_, ctime_ns, mtime_ns, same_as, nlink = inode
    raw = None if name.isascii() or not is_lossy(name) else name
    extents = None
    if meta is not None and meta.extents is not None:
        extents = b"".join(EXTENT.pack(*extent) for extent in meta.extents)
    numbers = (ctime_ns % NS, mtime_ns % NS, same_as)
    if raw is None and extents is None and not any(numbers) and nlink == 1:
        return None
    return (ino, raw, *numbers, nlink, extents)


def is_lossy(name: bytes) -> bool:
    """Whether `name` is not UTF-8, so that TEXT can't hold it."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return True
    return False


def fix_header(database: bytes) -> bytes:
    """Return a database whose three header fields that depend on the SQLite library are always the
    same."""
    data = bytearray(database)
    for place, value in HEADER_FIELDS:
        data[place : place + 4] = value.to_bytes(4, "big")
    return bytes(data)
