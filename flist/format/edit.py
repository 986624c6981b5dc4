"""Changes the tags and routes of a `.fl` file in place, completely or not at all."""

import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from common.files import write_atomic
from flist.errors import FlistError
from flist.format.database import FlistFile
from flist.format.signing.trailer import read_database
from flist.format.sqlitefile import Check
from flist.format.writer import fix_header
from flist.model import Route

Change = Callable[[sqlite3.Connection], object]


def edit_flist(path: Path, change: Change, check: Check | None = None) -> None:
    """Apply `change` to the database of the flist `path`; raises `FlistError`. `check` is that of
    `flist.format.opening`.

    Signatures inside the flist are removed, since they are over the old database.
    """
    FlistFile.open(path).close()  # raises if it is not a flist
    try:
        with tempfile.TemporaryDirectory(prefix=".flist-", dir=path.parent) as folder:
            scratch = Path(folder) / "new.fl"
            scratch.write_bytes(path.read_bytes())
            FlistFile.open(scratch).close()  # it may be another file by now
            if check is not None:
                with scratch.open("rb") as stream:
                    check(path, stream)
            scratch.write_bytes(read_database(scratch))
            connection = sqlite3.connect(scratch, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = OFF")
                change(connection)
            finally:
                connection.close()
            data = fix_header(scratch.read_bytes())
            write_atomic(path, data, path.stat().st_mode & 0o777)
    except sqlite3.Error as error:
        raise FlistError(f"cannot change {path}: {error}") from error
    except OSError as error:
        raise FlistError(f"cannot change {path}: {error.strerror}") from error


def set_tags(path: Path, tags: Mapping[str, str]) -> None:
    """Set tags, replacing those of the same key."""
    sql = "INSERT OR REPLACE INTO tag VALUES (?, ?)"
    edit_flist(path, lambda c: c.executemany(sql, tags.items()))


def delete_tags(path: Path, keys: Sequence[str] | None) -> None:
    """Delete the tags `keys`, or all of them if that is None."""
    edit_flist(path, lambda c: delete(c, "tag", "key", keys))


def add_routes(path: Path, routes: Sequence[Route], check: Check | None = None) -> None:
    """Add routes after those that are there."""
    edit_flist(path, lambda c: c.executemany("INSERT INTO route VALUES (?, ?, ?)", routes), check)


def delete_routes(path: Path, urls: Sequence[str] | None) -> None:
    """Delete the routes to `urls`, or all of them if that is None."""
    edit_flist(path, lambda c: delete(c, "route", "url", urls))


def replace_routes(path: Path, routes: Sequence[Route], check: Check | None = None) -> None:
    """Replace all routes by `routes`."""

    def change(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM route")
        connection.executemany("INSERT INTO route VALUES (?, ?, ?)", routes)

    edit_flist(path, change, check)


def delete(
    connection: sqlite3.Connection, table: str, column: str, values: Sequence[str] | None
) -> None:
    """Delete the rows whose `column` is in `values`, or all rows if that is None.

    Raises `FlistError` for a value that is not there.
    """
    if values is None:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 a constant
        return
    for value in values:
        sql = f"DELETE FROM {table} WHERE {column} = ?"  # noqa: S608 constants
        if connection.execute(sql, (value,)).rowcount == 0:
            raise FlistError(f"there is no {table} {value!r}")
