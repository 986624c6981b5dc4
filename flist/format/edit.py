"""Changes tags and routes of a `.fl` in place, whole or not at all."""

import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from common.files import write_atomic
from flist.errors import FlistError
from flist.format.database import FlistFile
from flist.format.trailer import read_database
from flist.format.writer import fix_header
from flist.model import Route

Change = Callable[[sqlite3.Connection], object]


def edit_flist(path: Path, change: Change) -> None:
    """Apply `change` to the database of `path`; signatures inside, which then fit no more, go."""
    FlistFile.open(path).close()  # refuses what is not a flist
    try:
        with tempfile.TemporaryDirectory(prefix=".flist-", dir=path.parent) as folder:
            scratch = Path(folder) / "new.fl"
            scratch.write_bytes(read_database(path))
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
    """Set tags."""
    sql = "INSERT OR REPLACE INTO tag VALUES (?, ?)"
    edit_flist(path, lambda c: c.executemany(sql, tags.items()))


def delete_tags(path: Path, keys: Sequence[str] | None) -> None:
    """Delete the tags `keys`, or all."""
    edit_flist(path, lambda c: delete(c, "tag", "key", keys))


def add_routes(path: Path, routes: Sequence[Route]) -> None:
    """Add routes."""
    edit_flist(path, lambda c: c.executemany("INSERT INTO route VALUES (?, ?, ?)", routes))


def delete_routes(path: Path, urls: Sequence[str] | None) -> None:
    """Delete the routes to `urls`, or all."""
    edit_flist(path, lambda c: delete(c, "route", "url", urls))


def replace_routes(path: Path, routes: Sequence[Route]) -> None:
    """Make `routes` the only ones."""

    def change(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM route")
        connection.executemany("INSERT INTO route VALUES (?, ?, ?)", routes)

    edit_flist(path, change)


def delete(
    connection: sqlite3.Connection, table: str, column: str, values: Sequence[str] | None
) -> None:
    """Delete the rows whose `column` is in `values`, or all."""
    if values is None:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 a constant
        return
    for value in values:
        sql = f"DELETE FROM {table} WHERE {column} = ?"  # noqa: S608 constants
        if connection.execute(sql, (value,)).rowcount == 0:
            raise FlistError(f"there is no {table} {value!r}")
