"""Opens the state of a server: where it is kept, and that its tables are those of this version."""

from pathlib import Path

from bootstrap_server.errors import SettingsError
from bootstrap_server.state.tables import TABLES
from serving.database import Database, create_tables, open_database, open_migrated

MIGRATIONS = Path(__file__).parent / "migrations"
FILE_NAME = "bootstrap.db"
FOLDER_MODE = 0o700
SCOPES = ("publish", "nodes", "read")


def open_state(folder: Path | None, url: str) -> Database:
    """Return the database at `url`, else the one in `folder`, else one in memory."""
    if folder is not None:
        try:
            folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"cannot keep the state in {folder}: {error.strerror}", hint="--state DIR"
            ) from error
    if not url and folder is None:
        database = open_database("sqlite://")
        create_tables(database, *TABLES)
        return database
    return open_migrated(url, (folder or Path()) / FILE_NAME, MIGRATIONS)


def open_lasting(folder: Path | None, url: str) -> Database:
    """Return a database that is there after this process. Raises `SettingsError`."""
    if not url and folder is None:
        raise SettingsError(
            "cannot tell where the server's state is", hint="--state DIR, or --database URL"
        )
    return open_state(folder, url)
