"""A SQLite file that may come from anywhere, opened for reading only.

SQLite may not notice when somebody overwrites an open file in place, and would mix pages of both.
So `connect_copy` works on a copy that nobody else can reach.
"""

import contextlib
import io
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from flist.errors import FlistError, FormatError

MAGIC = b"SQLite format 3\x00"
MAX_CELL_BYTES = 16 << 20
"""No value of a `.fl` is nearly this large."""
ROWID_NAMES = frozenset(("rowid", "oid", "_rowid_"))
"""A column with such a name hides the number of a row."""
IN_MEMORY_BYTES = 8 << 20
"""A copy of at most this size is kept in memory: 40,000 inodes or so."""
COPY_BYTES = 1 << 30
PROGRESS_STEPS = 1000  # of SQLite's virtual machine, between two looks at the clock
Check = Callable[[Path, BinaryIO], None]
JOURNAL_MODES, WAL, NO_WAL = slice(18, 20), b"\2\2", b"\1\1"


class SqliteFile:
    """An open SQLite file; `path` is named in errors. Every method raises `FormatError` for what
    SQLite refuses.

    Safe to use from several threads, but not across a fork.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        # SQLite serialises its calls, but Python caches one statement per SQL text and binds and
        # steps it in two calls. Without this lock a thread could get another thread's rows.
        self.lock = threading.Lock()

    def close(self) -> None:
        """Close the file once a running query has ended; later queries fail."""
        with self.lock:  # Python's sqlite3 crashes if a connection is closed during a query
            self.connection.close()

    def limit_time(self, deadline_s: float) -> None:
        """Let queries fail that still run in `deadline_s`: a hostile file can make one long."""
        end = time.monotonic() + deadline_s
        self.connection.set_progress_handler(lambda: time.monotonic() > end, PROGRESS_STEPS)

    def table_names(self) -> set[str]:
        """Return the names of all tables; views are not tables."""
        rows = self.query("SELECT CAST(name AS BLOB) FROM sqlite_master WHERE type = 'table'")
        return {bytes(name or b"").decode(errors="replace") for (name,) in rows}

    def check_plain(self, tables: Iterable[str]) -> None:
        """Refuse virtual tables and generated columns: reading them could take any amount of time
        and memory, however small the file is."""
        for table in sorted(tables):
            columns = self.query(f"PRAGMA table_xinfo({table})")
            names = {as_name(column[1]) for column in columns}
            if any(column[-1] for column in columns) or names & ROWID_NAMES:
                raise FormatError(f"cannot open {self.path}: table {table} is not a plain table")

    def check_keys(self, keyed: Iterable[str], unindexed: Iterable[str]) -> None:
        """Refuse a table of `keyed` whose column `ino` is not its key, so that each lookup would
        read it all; and a table of `keyed` or `unindexed` whose key is an index beside it."""
        indexed = {
            as_name(table)
            for table, sql in self.query(
                "SELECT CAST(tbl_name AS BLOB), sql FROM sqlite_master WHERE type = 'index'"
            )
            if sql is None  # made by SQLite for a key
        }
        for table in sorted({*keyed, *unindexed}):
            columns = self.query(f"PRAGMA table_xinfo({table})")
            keys = [as_name(column[1]) for column in columns if column[5]]
            if table in indexed or (table in keyed and keys != ["ino"]):
                raise FormatError(f"cannot open {self.path}: table {table} has not the right key")

    def query(self, sql: str, values: tuple[int | bytes | str, ...] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return all its rows."""
        try:
            with self.lock:
                return self.connection.execute(sql, values).fetchall()
        except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
            raise FormatError(f"cannot read {self.path}: {error}") from error

    def stream(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Run a query and yield its rows as they are read."""
        try:
            # `yield from` would close the cursor when the caller stops early, perhaps after the
            # connection was closed.
            for row in self.connection.execute(sql):  # noqa: UP028
                yield row
        except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
            raise FormatError(f"cannot read {self.path}: {error}") from error


def as_name(value: str | bytes | None) -> str:
    """Return the name of a table or column in lower case."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value or ""
    return text.lower()


def connect_copy(
    stream: BufferedReader, path: Path, check: Check | None = None
) -> sqlite3.Connection:
    """Open a copy of the SQLite file `stream` for reading only, after a `check` of that copy.
    `path` is named in errors.

    Raises `FlistError`, also if the file changes meanwhile, and what `check` raises.
    """
    before = os.fstat(stream.fileno())
    with contextlib.ExitStack() as stack:
        try:
            is_large = before.st_size > IN_MEMORY_BYTES
            file = copy_to_file(stream, stack) if is_large else None
            copy = copy_to_memory(stream, before.st_size) if file is None else file
        except OSError as error:
            raise FlistError(f"cannot open {path}: {error.strerror}") from error
        if stamp(before) != stamp(os.fstat(stream.fileno())):
            raise FlistError(f"cannot open {path}: it changed while it was read")
        if check is not None:
            check(path, copy)
        if isinstance(copy, io.BytesIO):
            return load(copy.getvalue(), path)
        return connect(Path(copy.name), path)


def stamp(status: os.stat_result) -> tuple[int, int, int]:
    """Return what changes when a file's content does."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def copy_to_memory(stream: BufferedReader, size: int) -> io.BytesIO:
    """Return a copy in memory."""
    stream.seek(0)
    return io.BytesIO(stream.read(size))


def copy_to_file(stream: BufferedReader, stack: contextlib.ExitStack) -> BufferedReader | None:
    """Return a copy in a temporary file that has no name any more when `stack` is closed; None if
    there is no room for one."""
    import tempfile

    try:
        handle, name = tempfile.mkstemp(prefix="flist-")
        stack.callback(os.unlink, name)
        copy = stack.enter_context(open(name, "rb", opener=lambda *_: handle))  # noqa: SIM115
        place = 0
        while count := os.sendfile(handle, stream.fileno(), place, COPY_BYTES):
            place += count
    except OSError:
        return None
    return copy


def load(data: bytes, path: Path) -> sqlite3.Connection:
    """Open a database in memory."""
    if data[JOURNAL_MODES] == WAL:  # SQLite opens no database in memory in this mode
        data = data[: JOURNAL_MODES.start] + NO_WAL + data[JOURNAL_MODES.stop :]
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        connection.deserialize(data)
    except (sqlite3.Error, OverflowError) as error:
        connection.close()
        raise FormatError(f"cannot open {path}: {error}") from error
    return restrict(connection, path)


def connect(file: Path, path: Path, cell_bytes: int = MAX_CELL_BYTES) -> sqlite3.Connection:
    """Open the SQLite file `file`, which nobody changes, for reading only; `path` is named in
    errors. Rows of more than `cell_bytes` can't be read. Raises `FormatError`."""
    address = f"file:{quote(str(file.absolute()))}?mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(address, uri=True, check_same_thread=False)
    except sqlite3.Error as error:
        raise FormatError(f"cannot open {path}: {error}") from error
    return restrict(connection, path, cell_bytes)


def restrict(
    connection: sqlite3.Connection, path: Path, cell_bytes: int = MAX_CELL_BYTES
) -> sqlite3.Connection:
    """Set limits for a database that may be hostile; raises `FormatError`."""
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, cell_bytes)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        connection.close()
        raise FormatError(f"cannot open {path}: {error}") from error
    return connection
