"""Writes `.fl` files: the same tree gives the same bytes on every machine."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.files import check_writable, write_atomic
from flist.errors import FlistError
from flist.format.rows import EXTENT
from flist.format.schema import CHECKS, EXTENSION, INDEXES, PARTS, SCHEMA
from flist.format.tables import Tables
from flist.model import HASH_BYTES, NS, Inode, Meta

# The header holds the version of the library that wrote last and a change counter. Readers ignore
# both.
CHANGE_COUNTER, VERSION_VALID_FOR, LIBRARY_VERSION = 24, 92, 96
HEADER_FIELDS = ((CHANGE_COUNTER, 1), (VERSION_VALID_FOR, 1), (LIBRARY_VERSION, 3_040_000))


def check_output(path: Path) -> None:
    """Raise `FlistError` if `path` can't be written; call it before the work begins."""
    try:
        check_writable(path)
    except OSError as error:
        raise FlistError(f"cannot write {path}: {error.strerror}") from error


def write_flist(path: Path, tables: Tables) -> None:
    """Write `tables` as the flist `path`, completely or not at all; raises `FlistError`."""
    with Draft() as draft:
        draft.write(path, tables)


class Draft:
    """A flist being built in memory; its inodes may be added before its blocks are known."""

    def __enter__(self) -> "Draft":
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.inodes: Sequence[Inode] | None = None
        self.extension: list[tuple[object, ...]] = []
        return self

    def __exit__(self, *_exc: object) -> None:
        self.connection.close()

    def begin(self, inodes: Sequence[Inode], meta: Mapping[int, Meta]) -> None:
        """Add the inodes and the targets of links."""
        self.connection.execute("PRAGMA page_size = 4096")
        self.connection.execute("BEGIN")
        for statement in SCHEMA.split(";")[:-1]:
            self.connection.execute(statement)
        fill_inodes(self.connection, inodes, meta)
        rows = (extension_row(inode, meta.get(inode[0])) for inode in inodes)
        self.extension = [row for row in rows if row is not None]
        self.inodes = inodes

    def write(self, path: Path, tables: Tables) -> None:
        """Write `tables` as the flist `path`, completely or not at all; raises `FlistError`."""
        every = tables.blocks.values()
        if any(len(block.id) != HASH_BYTES for blocks in every for block in blocks):
            reason = f"cannot write {path}: it would have blocks of the older format"
            raise FlistError(reason, hint="`convert` first")
        try:
            write_atomic(path, self.complete(tables))
        except (OSError, sqlite3.Error) as error:
            reason = (isinstance(error, OSError) and error.strerror) or str(error)
            raise FlistError(f"cannot write {path}: {reason}") from error

    def complete(self, tables: Tables) -> bytes:
        """Return the file's bytes.

        If `begin` was called with other inodes, the draft starts again: rows that were overwritten
        would leave traces, and the same tree must give the same bytes.
        """
        if self.inodes != tables.inodes:
            self.__exit__()
            self.__enter__()
            self.begin(tables.inodes, tables.meta)
        fill_tables(self.connection, tables)
        fill_extension(self.connection, self.extension, tables.meta)
        fill_checks(self.connection, tables)
        if tables.parts:
            self.connection.execute(PARTS)
            rows = sorted(tables.parts.items())
            self.connection.executemany("INSERT INTO zos_part VALUES (?, ?)", rows)
        for statement in INDEXES.split(";")[:-1]:
            self.connection.execute(statement)
        self.connection.execute("COMMIT")
        return fix_header(self.connection.serialize())


def fill_inodes(
    connection: sqlite3.Connection, inodes: Sequence[Inode], meta: Mapping[int, Meta]
) -> None:
    """Fill upstream's tables `inode` and `extra`."""
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


def fill_tables(connection: sqlite3.Connection, tables: Tables) -> None:
    """Fill upstream's tables `block`, `tag` and `route`."""
    blocks = tables.blocks
    connection.executemany(
        "INSERT INTO block VALUES (?, ?, ?)",
        (
            (inode[0], block_id, key)
            for inode in tables.inodes
            if inode[0] in blocks
            for block_id, key, _ in blocks[inode[0]]
        ),
    )
    connection.executemany("INSERT INTO tag VALUES (?, ?)", sorted(tables.tags.items()))
    connection.executemany("INSERT INTO route VALUES (?, ?, ?)", tables.routes)


def fill_checks(connection: sqlite3.Connection, tables: Tables) -> None:
    """Create and fill `zos_check`, for the files whose blocks all have a check."""
    found = ((ino, [block.check for block in blocks]) for ino, blocks in tables.blocks.items())
    rows = [(ino, b"".join(checks)) for ino, checks in found if checks and all(checks)]
    if rows:
        connection.execute(CHECKS)
        connection.executemany("INSERT INTO zos_check VALUES (?, ?)", sorted(rows))


def fill_extension(
    connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]], metas: Mapping[int, Meta]
) -> None:
    """Create and fill `zos_inode` and `zos_xattr`, if they have any rows."""
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
    """Return the row of `zos_inode` for what upstream's row loses; None if it loses nothing."""
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
    """Return whether `name` is not UTF-8, so that TEXT can't hold it."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return True
    return False


def fix_header(database: bytes) -> bytes:
    """Return `database` with fixed values in the header fields that depend on the library."""
    data = bytearray(database)
    for place, value in HEADER_FIELDS:
        data[place : place + 4] = value.to_bytes(4, "big")
    return bytes(data)
