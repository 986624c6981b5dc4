"""Opens a hub's database, and brings its tables to those of this version."""

from pathlib import Path

from serving.database import Database, open_migrated

MIGRATIONS = Path(__file__).parent / "migrations"
FILE_NAME = "hub.db"


def has_state(root: Path, url: str) -> bool:
    """Return whether the folder belongs to a hub with accounts, or is a plain folder of flists."""
    return bool(url) or (root / FILE_NAME).exists()


def open_state(root: Path, url: str) -> Database:
    """Return the database at `url`, else the one in the hub's folder. Raises `ZosError`."""
    return open_migrated(url, root / FILE_NAME, MIGRATIONS)
