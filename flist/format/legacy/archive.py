"""The older `.flist` file: a gzip tar with a SQLite file and perhaps a `router.yaml`."""

import gzip
import itertools
import tarfile
from pathlib import Path

from flist.errors import FlistError, FormatError
from flist.format.legacy.capnp import MAX_MESSAGE_BYTES
from flist.format.legacy.router import MAX_ROUTER_BYTES
from flist.format.sqlitefile import SqliteFile, connect

DATABASE = "flistdb.sqlite3"
ROUTER = "router.yaml"
MAX_DATABASE_BYTES = 4 << 30
MAX_ROW_BYTES = MAX_MESSAGE_BYTES + 1024
MAX_MEMBERS = 64
MAX_OTHER_BYTES = 16 << 20
MAX_HEADERS_BYTES = 16 << 20
"""Of all members. `tarfile` reads a long name or a pax header into memory, whatever its size."""


class Metered(gzip.GzipFile):
    """An archive of which only so much may be read; `left` grows with the members in it."""

    def __init__(self, path: Path, shown: Path) -> None:
        super().__init__(path, "rb")
        self.shown = shown  # in errors
        self.left = MAX_HEADERS_BYTES

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes. Raises `FormatError`."""
        data = super().read(size)
        self.left -= len(data)
        if self.left < 0:
            raise FormatError(f"cannot open {self.shown}: the headers in it are too large")
        return data


def extract_database(path: Path, database: Path, archive_file: Path) -> bytes | None:
    """Write the SQLite file inside an archive to `database`; return its router, if any. `path` is
    named in errors.

    Raises `FormatError` if the archive has no database, and what `tarfile` and `gzip` raise.
    """
    router, is_found = None, False
    with (
        Metered(archive_file, path) as unpacked,
        tarfile.open(fileobj=unpacked, mode="r|") as archive,
    ):
        for member in itertools.islice(archive, MAX_MEMBERS):
            name = Path(member.name).name if member.isreg() else ""
            unpacked.left += min(member.size, MAX_DATABASE_BYTES)
            if name == DATABASE and not is_found:
                copy_member(path, archive, member, database)
                is_found = True
            elif member.size > MAX_OTHER_BYTES:
                break  # neither file, and skipping it means reading it
            elif name == ROUTER:
                source = archive.extractfile(member)
                router = source.read(MAX_ROUTER_BYTES + 1) if source else None
            if is_found and router is not None:
                break
    if not is_found:
        raise FormatError(f"cannot open {path}: there is no {DATABASE} in it")
    return router


def copy_member(
    path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path
) -> None:
    """Write a member of the archive `path` to the file `target`."""
    if member.size > MAX_DATABASE_BYTES:
        raise FlistError(f"cannot open {path}: its database is too large")
    source = archive.extractfile(member)
    assert source is not None
    with target.open("wb") as stream:
        while data := source.read(1 << 20):
            stream.write(data)


def read_records(path: Path, database: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the records and the metadata of the SQLite file `database`, by key.

    `path` is the flist that errors name. Raises `FormatError`.
    """
    file = SqliteFile(path, connect(database, path, MAX_ROW_BYTES))
    try:
        tables = file.table_names()
        if "entries" not in tables:
            raise FormatError(f"cannot open {path}: it is not a flist (no table entries)")
        file.check_plain(tables & {"entries", "metadata"})
        records = dict(file.query("SELECT key, value FROM entries"))
        has_metadata = "metadata" in tables
        metadata = dict(file.query("SELECT key, value FROM metadata")) if has_metadata else {}
    finally:
        file.close()
    if not all(isinstance(value, bytes) for value in records.values()):
        raise FormatError(f"cannot read {path}: an entry is not bytes")
    return records, {str(key): str(value) for key, value in metadata.items()}
