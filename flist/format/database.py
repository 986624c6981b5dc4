"""Reads `.fl` files: upstream's SQLite schema and our tables beside it (`flist.format.schema`).

A file may come from anywhere, so nothing in it is trusted: `flist.format.rows` checks each value.
"""

from collections.abc import Iterator
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
    read_xattr_name,
    read_xattr_value,
)
from flist.format.schema import CHECKS_TABLE, EXTENSION_TABLES, PARTS_TABLE, TABLES
from flist.format.sqlitefile import MAGIC, SqliteFile, connect_copy
from flist.model import CHUNK_BYTES, NO_META, ROOT_INO, Block, Inode, Meta, Route

LARGE_FOLDER = 10_000
"""A directory with more entries than this is a large one."""
BATCH = 128
"""The number of rows to read at once where only some of them will be needed."""
COLUMNS = (
    "inode.ino, inode.parent, inode.name, inode.size, inode.uid, inode.gid, inode.mode,"
    " inode.rdev, inode.ctime, inode.mtime"
)
EXTENSION = ", z.name, z.ctime_ns, z.mtime_ns, z.same_as, z.nlink FROM inode"
EXTENDED = "SELECT " + COLUMNS + EXTENSION + " LEFT JOIN zos_inode z ON z.ino = inode.ino"
PLAIN = "SELECT " + COLUMNS + ", NULL, NULL, NULL, NULL, NULL FROM inode"  # noqa: S608 constants
FILES = " FROM inode JOIN block USING (ino)"
CHECKED = " LEFT JOIN zos_check USING (ino)"
FEW = (
    " WHERE parent = ? AND inode.ino >= ? AND size BETWEEN 1 AND ?"
    " GROUP BY inode.ino ORDER BY inode.ino LIMIT ?"
)
SMALL = "SELECT inode.ino, count(*), NULL, id, block.key" + FILES + FEW
SMALL_CHECKED = "SELECT inode.ino, count(*), checks, id, block.key" + FILES + CHECKED + FEW


class FlistFile(SqliteFile):
    """An open `.fl` file. Every value is checked; one that breaks a rule raises `FormatError`.

    Safe to use from several threads, but not across a fork.
    """

    def __init__(self, path: Path, connection: Connection) -> None:
        super().__init__(path, connection)
        self.has_extension = self.has_checks = self.has_parts = False

    @classmethod
    def open(cls, path: Path) -> "FlistFile":
        """Open `path` for reading; raises `FlistError` if it does not exist or is not a flist.

        What happens to the file later changes nothing: this works on a copy.
        """
        try:
            with open_regular(path) as stream:
                if stream.read(len(MAGIC)) != MAGIC:
                    raise FormatError(f"cannot open {path}: it is not a .fl file")
                connection = connect_copy(stream, path)
        except OSError as error:
            raise FlistError(f"cannot open {path}: {error.strerror}") from error
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
        root = self.inode(ROOT_INO)
        if root is None or not root.is_dir:
            raise FormatError(f"cannot open {self.path}: it has no root directory")

    @property
    def select(self) -> str:
        """The query for inodes, without a WHERE clause."""
        return EXTENDED if self.has_extension else PLAIN

    @cached_property
    def select_one(self) -> str:
        """The query for one inode."""
        return f"{self.select} WHERE inode.ino = ?"

    @cached_property
    def select_children(self) -> str:
        """The query for the entries of a directory."""
        return f"{self.select} WHERE inode.parent = ? AND inode.ino != 1 ORDER BY inode.ino"

    def inode(self, ino: int) -> Inode | None:
        """Return one inode, or None."""
        rows = self.query(self.select_one, (ino,))
        return read_inode(rows[0]) if rows else None

    def children(self, ino: int) -> list[Inode]:
        """Return the entries of directory `ino`, in the order in which they were packed."""
        return list(map(read_inode, self.query(self.select_children, (ino,))))

    def child(self, folder: int, name: bytes) -> Inode | None:
        """Return the first entry `name` of directory `folder`, or None, without reading the others.

        The `+` makes SQLite look the name up, which fewer entries have than the directory.
        """
        where = f"{self.select} WHERE +inode.parent = ? AND inode.name = ? AND inode.ino != 1"
        rows = self.query(f"{where} ORDER BY inode.ino", (folder, name.decode(errors="replace")))
        found = (read_inode(row) for row in rows)
        return next((inode for inode in found if inode.name == name), None)

    def is_large(self, folder: int) -> bool:
        """Return whether a directory has more than `LARGE_FOLDER` entries."""
        some = "SELECT 1 FROM inode WHERE parent = ? LIMIT ?"
        rows = self.query(f"SELECT count(*) FROM ({some})", (folder, LARGE_FOLDER + 1))  # noqa: S608
        return bool(rows[0][0] > LARGE_FOLDER)

    def inodes(self) -> Iterator[Inode]:
        """Return every inode, including those that are in no directory."""
        return map(read_inode, self.stream(f"{self.select} ORDER BY inode.ino"))

    def blocks(self, ino: int) -> list[Block]:
        """Return the blocks of a file, first chunk first."""
        rows = self.query("SELECT id, key FROM block WHERE ino = ? ORDER BY rowid", (ino,))
        checks = self.checks(ino) if rows else b""
        return [read_block(row, checks, index) for index, row in enumerate(rows)]

    def checks(self, ino: int) -> bytes:
        """Return the checks of a file's blocks, joined; empty if there are none."""
        if not self.has_checks:
            return b""
        rows = self.query("SELECT checks FROM zos_check WHERE ino = ?", (ino,))
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
        every = self.stream("SELECT ino, checks FROM zos_check") if self.has_checks else ()
        checks = {ino: read_bytes(joined, CHECKS_TABLE) for ino, joined in every}
        last = index = 0
        for ino, *row in self.stream("SELECT ino, id, key FROM block ORDER BY ino, rowid"):
            index = index + 1 if ino == last else 0
            last = ino
            yield read_int(ino, "ino"), read_block(row, checks.get(ino, b""), index)

    def parts(self, block_id: bytes) -> bytes | None:
        """Return a block's row of `zos_part`, or None."""
        if not self.has_parts:
            return None
        rows = self.query("SELECT parts FROM zos_part WHERE id = ?", (block_id,))
        return read_bytes(rows[0][0], "zos_part") if rows else None

    def all_parts(self) -> dict[bytes, bytes]:
        """Return every row of `zos_part`, by block id."""
        if not self.has_parts:
            return {}
        rows = self.stream("SELECT id, parts FROM zos_part")
        return {read_bytes(i, "zos_part"): read_bytes(parts, "zos_part") for i, parts in rows}

    def meta(self, ino: int) -> Meta:
        """Return the link target, extended attributes and data ranges of an inode."""
        rows = self.query("SELECT data FROM extra WHERE ino = ?", (ino,))
        target = read_target(rows[0][0]) if rows else None
        if not self.has_extension:
            return Meta(target) if rows else NO_META
        pairs = self.query("SELECT name, value FROM zos_xattr WHERE ino = ? ORDER BY name", (ino,))
        xattrs = tuple((read_xattr_name(name), read_xattr_value(value)) for name, value in pairs)
        rows = self.query("SELECT extents FROM zos_inode WHERE ino = ?", (ino,))
        extents = read_extents(rows[0][0]) if rows and rows[0][0] is not None else None
        return Meta(target, xattrs, extents)

    def all_meta(self) -> dict[int, Meta]:
        """Return `meta` by inode number, of every inode that has any."""
        inos = {ino for (ino,) in self.query("SELECT ino FROM extra")}
        if self.has_extension:
            inos.update(ino for (ino,) in self.query("SELECT DISTINCT ino FROM zos_xattr"))
            wanted = "SELECT ino FROM zos_inode WHERE extents IS NOT NULL"
            inos.update(ino for (ino,) in self.query(wanted))
        return {ino: self.meta(ino) for ino in sorted(read_int(ino, "ino") for ino in inos)}

    def routes(self) -> list[Route]:
        """Return the flist's routes, in their order."""
        return [
            Route(read_int(start, "route"), read_int(end, "route"), read_text(url, "route"))
            for start, end, url in self.query("SELECT start, end, url FROM route ORDER BY rowid")
        ]

    def tags(self) -> dict[str, str]:
        """Return the flist's tags."""
        rows = self.query("SELECT key, value FROM tag ORDER BY key")
        return {read_text(key, "tag"): read_text(value, "tag") for key, value in rows}

    def folder_counts(self) -> dict[int, int]:
        """Return the number of subdirectories of each directory that has any."""
        return dict(
            self.query(
                "SELECT parent, count(*) FROM inode"
                " WHERE (mode & 61440) = 16384 AND ino != 1 GROUP BY parent"
            )
        )

    def large_folders(self) -> set[int]:
        """Return the directories with more than `LARGE_FOLDER` entries."""
        sql = "SELECT parent FROM inode GROUP BY parent HAVING count(*) > ?"
        rows = self.query(sql, (LARGE_FOLDER,))
        return {ino for (ino,) in rows}

    def data_bytes(self) -> dict[int, int]:
        """Return the number of bytes outside holes of each sparse file."""
        if not self.has_extension:
            return {}
        rows = self.query("SELECT ino, extents FROM zos_inode WHERE extents IS NOT NULL")
        return {ino: sum(e.length for e in read_extents(extents)) for ino, extents in rows}

    def xattr_names(self) -> set[bytes]:
        """Return the names of all extended attributes in the flist."""
        if not self.has_extension:
            return set()
        rows = self.query("SELECT DISTINCT name FROM zos_xattr")
        return {read_xattr_name(name) for (name,) in rows}

    def totals(self) -> tuple[int, int]:
        """Return the number of inodes and the sum of the files' sizes in bytes."""
        rows = self.query(
            "SELECT count(*), coalesce(sum(CASE WHEN (mode & 61440) = 32768 THEN size END), 0)"
            " FROM inode"
        )
        inodes, size = read_int(rows[0][0], "count"), read_int(rows[0][1], "size")
        if size < 0:
            raise FormatError(f"cannot read {self.path}: the sizes of its files are out of range")
        return inodes, size
