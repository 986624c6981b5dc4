"""Writes `.fl` files: the same tree gives the same bytes on every machine."""

import os
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from common.files import open_atomic
from flist.database import EXTENT
from flist.errors import FlistError
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
# The header names the library that wrote last, and counts changes; readers ignore both.
CHANGE_COUNTER, VERSION_VALID_FOR, LIBRARY_VERSION = 24, 92, 96
FIXED_LIBRARY_VERSION = 3_040_000


class Content(NamedTuple):
    """All that a flist holds; `blocks` and `meta` are by inode number."""

    inodes: Sequence[Inode]
    blocks: Mapping[int, Sequence[Block]]
    meta: Mapping[int, Meta]
    tags: Mapping[str, str]
    routes: Sequence[Route]


def write_flist(path: Path, content: Content) -> None:
    """Make `path` a flist of `content`, whole or not at all."""
    if any(len(block.id) != HASH_BYTES for blocks in content.blocks.values() for block in blocks):
        raise FlistError(
            f"cannot write {path}: it would have blocks of the older format", hint="`convert` first"
        )
    try:
        with tempfile.TemporaryDirectory(prefix=".flist-", dir=path.parent) as folder:
            scratch = Path(folder) / "new.fl"
            fill_database(scratch, content)
            with scratch.open("r+b") as stream:
                fix_header(stream.fileno())
            with open_atomic(path) as target, scratch.open("rb") as source:
                while piece := source.read(1 << 20):
                    target.write(piece)
    except OSError as error:
        raise FlistError(f"cannot write {path}: {error.strerror}") from error


def fill_database(path: Path, content: Content) -> None:
    """Write all tables into a new database, indexes last."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for statement in SCHEMA.split(";")[:-1]:
            connection.execute(statement)
        fill_tables(connection, content)
        fill_extension(connection, content)
        for statement in INDEXES.split(";")[:-1]:
            connection.execute(statement)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise FlistError(f"cannot write {path.name}: {error}") from error
    finally:
        connection.close()


def fill_tables(connection: sqlite3.Connection, content: Content) -> None:
    """Fill upstream's five tables."""
    connection.executemany(
        "INSERT INTO inode VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (ino, parent, name.decode(errors="replace"), size, uid, gid, mode, rdev,
             ctime_ns // NS, mtime_ns // NS)
            for ino, parent, name, size, uid, gid, mode, rdev, ctime_ns, mtime_ns, _, _
            in content.inodes
        ),
    )  # fmt: skip
    targets = ((ino, m.target) for ino, m in content.meta.items() if m.target is not None)
    connection.executemany("INSERT INTO extra VALUES (?, ?)", sorted(targets))
    connection.executemany(
        "INSERT INTO block VALUES (?, ?, ?)",
        (
            (ino, block_id, key)
            for ino, *_ in content.inodes
            for block_id, key in content.blocks.get(ino, ())
        ),
    )
    connection.executemany("INSERT INTO tag VALUES (?, ?)", sorted(content.tags.items()))
    connection.executemany("INSERT INTO route VALUES (?, ?, ?)", content.routes)


def fill_extension(connection: sqlite3.Connection, content: Content) -> None:
    """Fill our two tables, if the tree has anything that upstream's can't hold."""
    rows = (extension_row(inode, content.meta.get(inode[0])) for inode in content.inodes)
    kept = [row for row in rows if row is not None]
    xattrs = [
        (ino, name, value)
        for ino, meta in sorted(content.meta.items())
        for name, value in sorted(meta.xattrs)
    ]
    if not kept and not xattrs:
        return
    for statement in EXTENSION.split(";")[:-1]:
        connection.execute(statement)
    connection.executemany("INSERT INTO zos_inode VALUES (?, ?, ?, ?, ?, ?, ?)", kept)
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


def fix_header(handle: int) -> None:
    """Make the three header fields that depend on the SQLite library the same everywhere."""
    one = (1).to_bytes(4, "big")
    os.pwrite(handle, one, CHANGE_COUNTER)
    os.pwrite(handle, one, VERSION_VALID_FOR)
    os.pwrite(handle, FIXED_LIBRARY_VERSION.to_bytes(4, "big"), LIBRARY_VERSION)
