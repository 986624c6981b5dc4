"""Opens the state of a registry: where it is kept, that its tables are of this version, and that
its log is this registry's."""

from pathlib import Path

from sqlalchemy import select

from registry.errors import SettingsError
from registry.state.tables import LOG_HEAD, TABLES
from serving.database import (
    Database,
    create_tables,
    insert_new,
    open_database,
    open_migrated,
)

MIGRATIONS = Path(__file__).parent / "migrations"
FILE_NAME = "registry.db"
FOLDER_MODE = 0o700
SCOPES = ("farms",)
EMPTY_ROOT = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def has_state(folder: Path, url: str) -> bool:
    """Return whether a registry has been made here."""
    return bool(url) or (folder / FILE_NAME).exists()


def make_folder(folder: Path) -> None:
    """Make the folder of the state. Raises `SettingsError`."""
    try:
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"cannot keep the state in {folder}: {error.strerror}", hint="--state DIR"
        ) from error


def open_state(folder: Path, url: str) -> Database:
    """Return the database at `url`, else the one in `folder`, with all tables."""
    return open_migrated(url, folder / FILE_NAME, MIGRATIONS)


def open_in_memory() -> Database:
    """Return a database that ends with the process."""
    database = open_database("sqlite://")
    create_tables(database, *TABLES)
    return database


def begin_log(database: Database, origin: str, key: str, now_s: float) -> None:
    """Make the head of an empty log if there is no log yet; else check that it is this one's.

    Servers of one database that sign with different keys, or under different names, would show
    heads that do not belong together. Raises `SettingsError`.
    """
    own = {"origin": origin, "key": key}
    row = {"id": 1, "size": 0, "root": EMPTY_ROOT, "at_s": 0.0, "alive_s": now_s}
    with database.writing() as connection:
        insert_new(connection, LOG_HEAD, {**row, **own})
        head = connection.execute(select(LOG_HEAD.c.origin, LOG_HEAD.c.key)).one()
    for name, value in head._mapping.items():
        if own[name] != value:
            raise SettingsError(
                f"the database has the log of another registry: its {name} is {value}, and the"
                f" settings' {name} is {own[name]}",
                hint=f"use the {name} that the log was begun with, or another database",
            )
