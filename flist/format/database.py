"""Reads `.fl` files: upstream's SQLite schema and our tables beside it (`flist.format.schema`).

A file may come from anywhere, so nothing in it is trusted: `flist.format.rows` checks each value.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from sqlite3 import Connection

from common.files import open_regular
from flist.errors import FlistError, FormatError
from flist.format.rows import (
    read_block,
    read_bytes,
    read_extents,
    read_inode,
    read_int,
    read_target,
    read_text,
    read_xattr,
    read_xattr_name,
)
from flist.format.schema import CHECKS_TABLE, EXTENSION_TABLES, KEYED, PARTS_TABLE, TABLES
from flist.format.sqlitefile import MAGIC, Check, SqliteFile, connect, connect_copy
from flist.model import CHUNK_BYTES, HASH_BYTES, NO_META, ROOT_INO, Block, Inode, Meta, Route

LARGE_FOLDER = 10_000
"""A directory with more entries than this is a large one."""
BATCH = 128
"""The number of rows to read at once where only some of them will be needed."""
COLUMNS = (
    "inode.ino, inode.parent, inode.name, inode.size, inode.uid, inode.gid, inode.mode,"
    " inode.rdev, inode.ctime, inode.mtime"
)
EXTENDED = "SELECT " + COLUMNS + ", z.name, z.ctime_ns, z.mtime_ns, z.same_as, z.nlink"
PLAIN = "SELECT " + COLUMNS + ", NULL, NULL, NULL, NULL, NULL"
JOINED = " LEFT JOIN zos_inode z NOT INDEXED ON z.ino = inode.ino"
# An index that the file brought along may only say where to look: it finds rows of `near` or
# `found`, and the same rows are then read from the table itself (NOT INDEXED) and compared.
EVERY = " FROM inode NOT INDEXED"
NEAR = " FROM inode AS near CROSS JOIN inode NOT INDEXED ON inode.ino = near.ino"
FOUND = " CROSS JOIN block NOT INDEXED ON block.rowid = found.rowid"
CHECKED = " LEFT JOIN zos_check NOT INDEXED ON zos_check.ino = inode.ino"
FEW = (
    " WHERE near.parent = ? AND near.ino >= ? AND inode.size BETWEEN 1 AND ?"
    " AND inode.ino = block.ino GROUP BY near.ino ORDER BY near.ino LIMIT ?"
)
FILES = NEAR + " CROSS JOIN block AS found ON found.ino = inode.ino" + FOUND
SMALL = "SELECT inode.ino, count(*), NULL, block.id, block.key" + FILES + FEW
SMALL_CHECKED = "SELECT inode.ino, count(*), checks, block.id, block.key" + FILES + CHECKED + FEW
ONE_FILE = "SELECT block.rowid, block.ino, block.id, block.key FROM block AS found"
ONE_FILE += FOUND + " WHERE found.ino = ?"


class FlistFile(SqliteFile):
    """An open `.fl` file. Every value is checked; one that breaks a rule raises `FormatError`.

    Safe to use from several threads, but not across a fork.
    """

    def __init__(self, path: Path, connection: Connection) -> None:
        super().__init__(path, connection)
        self.has_extension = self.has_checks = self.has_parts = False

    @classmethod
    def open(cls, path: Path, check: Check | None = None) -> "FlistFile":
        """Open `path` for reading; raises `FlistError` if it does not exist or is not a flist.

        What happens to the file later changes nothing: this works on a copy, which `check` sees
        before SQLite does (`flist.format.opening`).
        """
        try:
            with open_regular(path) as stream:
                if stream.read(len(MAGIC)) != MAGIC:
                    raise FormatError(f"cannot open {path}: it is not a .fl file")
                connection = connect_copy(stream, path, check)
        except OSError as error:
            raise FlistError(f"cannot open {path}: {error.strerror}") from error
        return cls.of_connection(path, connection)

    @classmethod
    def open_unchanging(cls, path: Path) -> "FlistFile":
        """Open a file that nobody writes to, without a copy; it may be removed."""
        return cls.of_connection(path, connect(path, path))

    @classmethod
    def of_connection(cls, path: Path, connection: Connection) -> "FlistFile":
        """Return the flist in an open database, which is closed if it is none."""
        connection.text_factory = bytes
        flist = cls(path, connection)
        try:
            flist.inspect()
        except BaseException:
            connection.close()
            raise
        return flist

    def __enter__(self) -> "FlistFile":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def inspect(self) -> None:
        """Refuse a database without the format's tables; a view could run any query."""
        tables = self.table_names()
        if missing := TABLES - tables:
            names = ", ".join(sorted(missing))
            raise FormatError(f"cannot open {self.path}: it is not a flist (no table {names})")
        self.has_extension = tables >= EXTENSION_TABLES
        self.has_checks, self.has_parts = CHECKS_TABLE in tables, PARTS_TABLE in tables
        ours = {*(EXTENSION_TABLES if self.has_extension else ()), CHECKS_TABLE, PARTS_TABLE}
        self.check_plain(TABLES | ours & tables)
        self.check_keys(KEYED & tables, (EXTENSION_TABLES | {PARTS_TABLE, CHECKS_TABLE}) & tables)
        root = self.inode(ROOT_INO)
        if root is None or not root.is_dir:
            raise FormatError(f"cannot open {self.path}: it has no root directory")

    def select(self, rows: str) -> str:
        """Return the query for the inodes of a FROM clause, without a WHERE clause."""
        return EXTENDED + rows + JOINED if self.has_extension else PLAIN + rows

    @cached_property
    def select_one(self) -> str:
        """The query for one inode."""
        return self.select(EVERY) + " WHERE inode.ino = ?"

    @cached_property
    def select_children(self) -> str:
        """The query for the entries of a directory."""
        return self.select(NEAR) + " WHERE near.parent = ? AND inode.ino != 1"

    @cached_property
    def select_after(self) -> str:
        """The query for some entries of a directory, from an inode number on."""
        where = " WHERE near.parent = ? AND near.ino > ? AND inode.ino != 1"
        return self.select(NEAR) + where + " ORDER BY near.ino LIMIT ?"

    @cached_property
    def select_child(self) -> str:
        """The query for the entries of a directory that have one name.

        The `+` makes SQLite look the name up, which fewer entries have than the directory.
        """
        where = " WHERE +near.parent = ? AND near.name = ? AND inode.ino != 1 ORDER BY inode.ino"
        return self.select(NEAR) + where

    def inode(self, ino: int) -> Inode | None:
        """Return one inode, or None."""
        rows = self.query(self.select_one, (ino,))
        return read_inode(rows[0]) if rows else None

    def children(self, ino: int) -> list[Inode]:
        """Return the entries of directory `ino`, in the order in which they were packed."""
        rows = self.query(self.select_children, (ino,))
        self.check_found(ino, [(row[0], row[1]) for row in rows])
        return list(map(read_inode, rows))

    def check_found(self, wanted: int, rows: Sequence[tuple[int, int]]) -> None:
        """Refuse what an index found unless each row has the number `wanted`, and comes once and
        in order. `rows` are pairs of a row's own number and its value of the indexed column."""
        last = -1
        for number, value in rows:
            if value != wanted or type(number) is not int or number <= last:
                raise FormatError(f"cannot read {self.path}: an index does not match its table")
            last = number

    def child(self, folder: int, name: bytes) -> Inode | None:
        """Return the first entry `name` of directory `folder`, or None."""
        rows = self.query(self.select_child, (folder, name.decode(errors="replace")))
        self.check_found(folder, [(row[0], row[1]) for row in rows])
        found = (read_inode(row) for row in rows)
        return next((inode for inode in found if inode.name == name), None)

    def entries_after(self, folder: int, ino: int, limit: int) -> list[Inode]:
        """Return up to `limit` entries of directory `folder` that were packed after inode `ino`."""
        rows = self.query(self.select_after, (folder, ino, limit))
        self.check_found(folder, [(row[0], row[1]) for row in rows])
        return list(map(read_inode, rows))

    def is_large(self, folder: int) -> bool:
        """Return whether a directory has more than `LARGE_FOLDER` entries."""
        some = "SELECT 1 FROM inode WHERE parent = ? LIMIT ?"
        rows = self.query(f"SELECT count(*) FROM ({some})", (folder, LARGE_FOLDER + 1))  # noqa: S608
        return bool(rows[0][0] > LARGE_FOLDER)

    def count_entries(self, folder: int) -> int:
        """Return how many entries directory `folder` has, as its index says."""
        sql = "SELECT count(*) FROM inode WHERE parent = ? AND ino != 1"
        return read_int(self.query(sql, (folder,))[0][0], "count")

    def find_names(self, text: str, after: int, limit: int) -> list[Inode]:
        """Return up to `limit` entries with `text` in their name, packed after inode `after`.

        Small and capital letters of ASCII are the same. Reads up to the whole table.
        """
        if "\0" in text:  # SQLite would see its end there; no name has one
            return []
        pattern = "%" + re.sub(r"([%_\\])", r"\\\1", text) + "%"
        where = " WHERE inode.ino > ? AND inode.ino != 1 AND inode.name LIKE ? ESCAPE '\\'"
        order = " ORDER BY inode.ino LIMIT ?"
        rows = self.query(self.select(EVERY) + where + order, (after, pattern, limit))
        return list(map(read_inode, rows))

    def folder_keys(self, folder: int) -> dict[int, bytes]:
        """Return the keys of the blocks of each file in directory `folder`, joined, by inode."""
        where = " WHERE near.parent = ? AND inode.ino = block.ino ORDER BY near.ino, block.rowid"
        keys: dict[int, bytearray] = {}
        for ino, key in self.query("SELECT inode.ino, block.key" + FILES + where, (folder,)):
            keys.setdefault(ino, bytearray()).extend(read_bytes(key, "block"))
        return {ino: bytes(joined) for ino, joined in keys.items()}

    def inodes(self) -> Iterator[Inode]:
        """Return every inode, including those that are in no directory."""
        return map(read_inode, self.stream(self.select(EVERY) + " ORDER BY inode.ino"))

    def blocks(self, ino: int) -> list[Block]:
        """Return the blocks of a file, first chunk first."""
        rows = self.query(ONE_FILE, (ino,))
        self.check_found(ino, [(row[0], row[1]) for row in rows])
        checks = self.checks(ino) if rows else b""
        return [read_block(row[2:], checks, index) for index, row in enumerate(rows)]

    def block_rows(self, ino: int) -> range | None:
        """Return the rows of a file's blocks if they follow one another in the table, as writers
        make them, or None. Without reading the blocks."""
        sql = "SELECT min(rowid), max(rowid), count(*) FROM block WHERE ino = ?"
        low, high, count = self.query(sql, (ino,))[0]
        if not count or high - low + 1 != count:
            return None
        sql = "SELECT count(*) FROM block NOT INDEXED WHERE rowid BETWEEN ? AND ? AND ino = ?"
        return range(low, high + 1) if self.query(sql, (low, high, ino))[0][0] == count else None

    def blocks_between(self, ino: int, rows: range, first: int) -> list[Block]:
        """Return the blocks of a file in some of its `block_rows`, from chunk `first` on."""
        sql = "SELECT id, key FROM block NOT INDEXED WHERE rowid BETWEEN ? AND ? ORDER BY rowid"
        found = self.query(sql, (rows[0], rows[-1]))
        checks = b""
        if self.has_checks:
            sql = "SELECT substr(checks, ?, ?) FROM zos_check NOT INDEXED WHERE ino = ?"
            span = first * HASH_BYTES + 1, len(rows) * HASH_BYTES
            parts = self.query(sql, (*span, ino))
            checks = read_bytes(parts[0][0], CHECKS_TABLE) if parts else b""
        return [read_block(row, checks, index) for index, row in enumerate(found)]

    def checks(self, ino: int) -> bytes:
        """Return the checks of a file's blocks, joined; empty if there are none."""
        if not self.has_checks:
            return b""
        rows = self.query("SELECT checks FROM zos_check NOT INDEXED WHERE ino = ?", (ino,))
        return read_bytes(rows[0][0], CHECKS_TABLE) if rows else b""

    def small_blocks(self, folder: int, start: int) -> dict[int, Block]:
        """Return the blocks of files with exactly one block in directory `folder`, by inode number.

        One query reads up to `BATCH` files, from inode `start` on. A file that is not in the result
        has to be read with `blocks`.
        """
        values = (folder, start, CHUNK_BYTES, BATCH)
        rows = self.query(SMALL_CHECKED if self.has_checks else SMALL, values)
        return {
            ino: read_block(row, b"" if checks is None else read_bytes(checks, CHECKS_TABLE))
            for ino, count, checks, *row in rows
            if count == 1
        }

    def all_blocks(self) -> Iterator[tuple[int, Block]]:
        """Yield (inode number, block) for every block of every file, grouped by inode."""
        sql = "SELECT ino, checks FROM zos_check NOT INDEXED"
        every = self.stream(sql) if self.has_checks else ()
        checks = {ino: read_bytes(joined, CHECKS_TABLE) for ino, joined in every}
        last = index = 0
        sql = "SELECT ino, id, key FROM block NOT INDEXED ORDER BY ino, rowid"
        for ino, *row in self.stream(sql):
            index = index + 1 if ino == last else 0
            last = ino
            yield read_int(ino, "ino"), read_block(row, checks.get(ino, b""), index)

    def block_ids(self) -> Iterator[bytes]:
        """Yield the id of every block of every file, in no order, with next to no memory."""
        for row in self.stream("SELECT id, key FROM block NOT INDEXED"):
            yield read_block(row).id

    def parts(self, block_id: bytes) -> bytes | None:
        """Return a block's row of `zos_part`, or None."""
        if not self.has_parts:
            return None
        rows = self.query("SELECT parts FROM zos_part NOT INDEXED WHERE id = ?", (block_id,))
        return read_bytes(rows[0][0], "zos_part") if rows else None

    def all_parts(self) -> dict[bytes, bytes]:
        """Return every row of `zos_part`, by block id."""
        if not self.has_parts:
            return {}
        rows = self.stream("SELECT id, parts FROM zos_part NOT INDEXED")
        return {read_bytes(i, "zos_part"): read_bytes(parts, "zos_part") for i, parts in rows}

    def meta(self, ino: int) -> Meta:
        """Return the link target, extended attributes and data ranges of an inode."""
        rows = self.query("SELECT data FROM extra NOT INDEXED WHERE ino = ?", (ino,))
        target = read_target(rows[0][0]) if rows else None
        if not self.has_extension:
            return Meta(target) if rows else NO_META
        sql = "SELECT name, value FROM zos_xattr NOT INDEXED WHERE ino = ? ORDER BY name"
        xattrs = tuple(read_xattr(row) for row in self.query(sql, (ino,)))
        rows = self.query("SELECT extents FROM zos_inode NOT INDEXED WHERE ino = ?", (ino,))
        extents = read_extents(rows[0][0]) if rows and rows[0][0] is not None else None
        return Meta(target, xattrs, extents)

    def all_meta(self) -> dict[int, Meta]:
        """Return `meta` by inode number, of every inode that has any."""
        rows = self.query("SELECT ino, data FROM extra NOT INDEXED")
        targets = {read_int(ino, "ino"): read_target(data) for ino, data in rows}
        if not self.has_extension:
            return {ino: Meta(targets[ino]) for ino in sorted(targets)}
        xattrs: dict[int, list[tuple[bytes, bytes]]] = {}
        for ino, *row in self.stream("SELECT ino, name, value FROM zos_xattr NOT INDEXED"):
            xattrs.setdefault(read_int(ino, "ino"), []).append(read_xattr(row))
        extents = {read_int(ino, "ino"): read_extents(value) for ino, value in self.holes()}
        return {
            ino: Meta(targets.get(ino), tuple(sorted(xattrs.get(ino, ()))), extents.get(ino))
            for ino in sorted(targets.keys() | xattrs.keys() | extents.keys())
        }

    def holes(self) -> list[tuple[int, object]]:
        """Return the inode number and the column `extents` of each sparse file."""
        sql = "SELECT ino, extents FROM zos_inode NOT INDEXED WHERE extents IS NOT NULL"
        return self.query(sql)

    def find_damage(self) -> list[str]:
        """Return what is wrong with the file as a database: damaged pages, and indexes that do not
        match their tables. Reads all of it."""
        rows = self.query("PRAGMA integrity_check(10)")
        texts = [row[0].decode(errors="replace") for row in rows if isinstance(row[0], bytes)]
        return [text for text in texts if text != "ok"]

    def routes(self) -> list[Route]:
        """Return the flist's routes, in their order."""
        return [
            Route(read_int(start, "route"), read_int(end, "route"), read_text(url, "route"))
            for start, end, url in self.query(
                "SELECT start, end, url FROM route NOT INDEXED ORDER BY rowid"
            )
        ]

    def tags(self) -> dict[str, str]:
        """Return the flist's tags."""
        rows = self.query("SELECT key, value FROM tag NOT INDEXED ORDER BY key")
        return {read_text(key, "tag"): read_text(value, "tag") for key, value in rows}

    def folder_counts(self) -> dict[int, int]:
        """Return the number of subdirectories of each directory that has any."""
        return dict(
            self.query(
                "SELECT parent, count(*) FROM inode NOT INDEXED"
                " WHERE (mode & 61440) = 16384 AND ino != 1 GROUP BY parent"
            )
        )

    def large_folders(self) -> set[int]:
        """Return the directories with more than `LARGE_FOLDER` entries."""
        sql = "SELECT parent FROM inode NOT INDEXED GROUP BY parent HAVING count(*) > ?"
        rows = self.query(sql, (LARGE_FOLDER,))
        return {ino for (ino,) in rows}

    def data_bytes(self) -> dict[int, int]:
        """Return the number of bytes outside holes of each sparse file."""
        if not self.has_extension:
            return {}
        return {ino: sum(e.length for e in read_extents(value)) for ino, value in self.holes()}

    def xattr_names(self) -> set[bytes]:
        """Return the names of all extended attributes in the flist."""
        if not self.has_extension:
            return set()
        rows = self.query("SELECT DISTINCT name FROM zos_xattr NOT INDEXED")
        return {read_xattr_name(name) for (name,) in rows}

    def totals(self) -> tuple[int, int]:
        """Return the number of inodes and the sum of the files' sizes in bytes."""
        rows = self.query(
            "SELECT count(*), coalesce(sum(CASE WHEN (mode & 61440) = 32768 THEN size END), 0)"
            " FROM inode NOT INDEXED"
        )
        inodes, size = read_int(rows[0][0], "count"), read_int(rows[0][1], "size")
        if size < 0:
            raise FormatError(f"cannot read {self.path}: the sizes of its files are out of range")
        return inodes, size
