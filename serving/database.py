"""A server's database: SQLite in a file or in memory, or PostgreSQL, by SQLAlchemy Core.

A block of `reading` or `writing` is one transaction. A writer has SQLite's write lock from the
start: a transaction that read before would be refused instead of waiting for its turn. Blocks must
not be nested: a database in memory has a single connection.

Times are seconds since 1970, which both databases keep alike.
"""

import contextlib
import os
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import (
    Connection,
    Engine,
    MetaData,
    QueuePool,
    Table,
    create_engine,
    event,
    literal_column,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from common.errors import UsageError, ZosError
from common.files import sync_directory

WAIT_S = 30
CONNECT_S = 10
POOL_SIZE = 10
MIGRATION_LOCK = 0x7A6F73  # any number that no other program on this database takes
PRIVATE_MODE = 0o600
DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


class DatabaseError(ZosError):
    """The database cannot be used at the moment, or not by this version."""

    http_status = 503

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.http_headers = {"Retry-After": "5"}


class Database:
    """One database. `is_lasting` is False for one in memory, which ends with the process."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.writer = engine.execution_options(begin="BEGIN IMMEDIATE")
        self.is_postgresql = engine.dialect.name == "postgresql"
        self.is_lasting = self.is_postgresql or engine.url.database is not None
        # Closes the connections; it is called at the latest when nobody has this object any more.
        self.close = weakref.finalize(self, engine.dispose)
        if self.is_lasting:
            _OPEN.add(self)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a transaction that only reads. Raises `DatabaseError`."""
        with explained(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a transaction that may write; an exception undoes it. Raises `DatabaseError`."""
        with explained(), self.writer.begin() as connection:
            yield connection

    def check(self) -> str | None:
        """Return why the database cannot be used, or None."""
        try:
            with self.reading() as connection:
                connection.execute(text("SELECT 1"))
        except DatabaseError as error:
            return error.message
        return None

    def migrate(self, folder: Path) -> None:
        """Bring the tables to the newest of the Alembic migrations in `folder`, or change nothing.

        Of several servers that start at once, one does it and the others wait.
        """
        # Imported late: a database in memory needs none of it.
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        with self.writing() as connection:
            if self.is_postgresql:
                connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT_S}s'"))
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise DatabaseError(
                    f"cannot use the database: {error}",
                    hint="a newer version of the server has changed it: use that version",
                ) from error


class ValueRefusedError(ZosError):
    """A value cannot be in the database: PostgreSQL has no text with a zero byte."""

    http_status = 422


_OPEN: weakref.WeakSet[Database] = weakref.WeakSet()


def close_idle() -> None:
    """Close the connections that nobody uses: two processes must not share one."""
    for database in list(_OPEN):
        database.engine.dispose()


os.register_at_fork(before=close_idle)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn the driver's errors about connections, locks and disks into `DatabaseError`, and those
    about values, which come from clients, into `ValueRefusedError`."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        reason = str(error.orig).strip().partition("\n")[0]
        raise DatabaseError(f"cannot use the database: {reason}") from error
    except DataError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        raise ValueRefusedError(f"cannot use a value: {reason}") from error
    except DBAPIError as error:
        # sqlite3 raises no subclass for a file that is damaged or is none of its own.
        if type(error.orig).__name__ != "DatabaseError":
            raise
        raise DatabaseError(
            f"cannot use the database: {error.orig}", hint="restore a backup of it"
        ) from error
    except PoolTimeoutError as error:
        raise DatabaseError("cannot use the database: all connections are busy") from error


def open_file(path: Path) -> Database:
    """Return the SQLite database in a file, which is made if it is not there."""
    return Database(open_sqlite(URL.create("sqlite", database=str(path))))


def open_migrated(url: str, path: Path, migrations: Path) -> Database:
    """Return the database at `url`, else the SQLite file `path`, with the tables of this version.

    Raises `ZosError`.
    """
    database = open_database(url) if url else open_file(path)
    database.migrate(migrations)
    return database


@contextlib.contextmanager
def making_file(path: Path) -> Iterator[str]:
    """Give the URL of a new SQLite file, which gets the name `path` in the end; if this fails, or
    is interrupted, there is none. Whoever opens the file has closed it by then."""
    new = path.with_name(f"{path.name}.new")
    try:
        remove_file(new)
        yield URL.create("sqlite", database=str(new.absolute())).render_as_string()
        new.replace(path)
        sync_directory(path.parent)
    finally:
        remove_file(new)


def remove_file(path: Path) -> None:
    """Remove an SQLite file and what belongs to it."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def open_database(url: str) -> Database:
    """Return the database at `url`; "sqlite://" is one in memory. Raises `UsageError`."""
    place = parse_url(url)
    if place.drivername == "sqlite":
        return Database(open_sqlite(place))
    options = {"connect_timeout": CONNECT_S, "options": f"-c statement_timeout={WAIT_S * 1000}"}
    wanted = {key: value for key, value in options.items() if key not in place.query}
    return Database(
        create_engine(
            place,
            connect_args=wanted,
            pool_size=POOL_SIZE,
            pool_timeout=WAIT_S,
            pool_pre_ping=True,
        )
    )


def parse_url(text: str) -> URL:
    """Return the URL of a database with the driver that this project uses."""
    try:
        url = make_url(text)
        if url.get_backend_name() == "sqlite" and url.query:
            raise ValueError("options that the driver would ignore")
        return url.set(drivername=DRIVERS[url.get_backend_name()])
    except (ArgumentError, NoSuchModuleError, KeyError, ValueError):
        raise UsageError(
            "cannot use the database's URL",  # which may hold a password
            hint="postgresql://USER:PASSWORD@HOST/NAME, or sqlite:////PATH",
        ) from None


def open_sqlite(url: URL) -> Engine:
    """Return the engine of a SQLite file, which is readable by its owner only, or of memory."""
    is_lasting = url.database not in (None, "", ":memory:")
    if is_lasting:
        # SQLite gives the files beside it the same mode.
        os.close(os.open(str(url.database), os.O_RDWR | os.O_CREAT, PRIVATE_MODE))
    engine = create_engine(
        url if is_lasting else url.set(database=None),
        poolclass=QueuePool,
        pool_size=POOL_SIZE if is_lasting else 1,
        max_overflow=POOL_SIZE if is_lasting else 0,
        pool_timeout=WAIT_S,
        connect_args={"timeout": WAIT_S, "check_same_thread": False},
    )
    event.listen(engine, "connect", prepare_sqlite)
    event.listen(engine, "begin", begin_sqlite)
    return engine


def prepare_sqlite(connection: object, _record: object) -> None:
    """Let readers not wait for a writer, and leave the beginning of transactions to this module."""
    import sqlite3

    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def begin_sqlite(connection: Connection) -> None:
    """Begin a transaction as `Database` has asked for."""
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def create_tables(database: Database, *tables: MetaData) -> None:
    """Make all tables, without migrations: for a database in memory."""
    with database.writing() as connection:
        for metadata in tables:
            metadata.create_all(connection)


def insert_new(connection: Connection, table: Table, values: Mapping[str, object]) -> bool:
    """Insert a row; return False, and change nothing, if its key is there already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(values).on_conflict_do_nothing()
    # Where a key is numbered by the database, there is no reliable `rowcount`.
    return connection.execute(statement.returning(literal_column("1"))).first() is not None
