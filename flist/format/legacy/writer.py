"""Writes older `.flist` files: the same content gives the same bytes, with the same zlib."""

import gzip
import io
import json
import sqlite3
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

from common.files import write_atomic
from flist.errors import FlistError
from flist.format.legacy.archive import DATABASE, ROUTER
from flist.format.legacy.encode import Encoder
from flist.format.tables import Tables
from flist.format.writer import fix_header
from flist.model import Route

SCHEMA = (
    "CREATE TABLE entries (key VARCHAR(64) PRIMARY KEY, value BLOB)",
    "CREATE TABLE metadata (key VARCHAR(64) PRIMARY KEY, value TEXT)",
)
SUFFIX = ".flist"
SCHEMES = ("zdb", "redis")
PORTS = {"zdb": 9900, "redis": 6379}
LEVEL = 6


def is_legacy_name(path: Path) -> bool:
    """Return whether the name of a file says that it has the older format."""
    return path.suffix == SUFFIX


def write_legacy(path: Path, tables: Tables) -> None:
    """Write `tables` as the older flist `path`, completely or not at all.

    Its tags become the metadata (`entrypoint`, `readme` and so on, JSON texts by upstream's
    convention). The format knows zdb and Redis stores only; other routes are left out. Raises
    `FlistError`, also for blocks of the newer format.
    """
    routes = kept_routes(tables.routes)
    try:
        database = make_database(tables, {**tables.tags, **backend_of(routes)})
        write_atomic(path, pack_archive(database, make_router(routes)))
    except FlistError as error:
        raise FlistError(f"cannot write {path}: {error.message}", hint=error.hint) from error
    except (OSError, sqlite3.Error) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise FlistError(f"cannot write {path}: {reason}") from error


def find_losses(tables: Tables) -> list[str]:
    """Return what the older format can't hold of `tables`."""
    links = sum(inode.same_as != 0 for inode in tables.inodes)
    xattrs = sum(bool(meta.xattrs) for meta in tables.meta.values())
    special = sum(inode.mode & 0o7000 != 0 for inode in tables.inodes if inode.is_file)
    other = len(tables.routes) - len(kept_routes(tables.routes))
    counted = {
        "hard links become files of their own": links,
        "entries lose their extended attributes": xattrs,
        "files lose their set-user-ID, group or sticky bit in upstream's mounts": special,
        "stores are not named: the format knows zdb and Redis only": other,
    }
    return [f"{count} {what}" for what, count in counted.items() if count]


def make_database(tables: Tables, metadata: Mapping[str, str]) -> bytes:
    """Return the SQLite file."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.execute("BEGIN")
        for statement in SCHEMA:
            connection.execute(statement)
        records = Encoder(tables).run()
        connection.executemany("INSERT INTO entries VALUES (?, ?)", records)
        connection.executemany("INSERT INTO metadata VALUES (?, ?)", sorted(metadata.items()))
        connection.execute("COMMIT")
        return fix_header(connection.serialize())
    finally:
        connection.close()


def pack_archive(database: bytes, router: bytes) -> bytes:
    """Return the gzip tar of a database and a router, if that is not empty."""
    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", LEVEL, packed, mtime=0) as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, data in ((DATABASE, database), (ROUTER, router)):
                if data:
                    member = tarfile.TarInfo(f"./{name}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def kept_routes(routes: Sequence[Route]) -> list[Route]:
    """Return the routes to zdb and Redis servers, which readers reach through the network."""
    return [
        route
        for route in routes
        if urlsplit(route.url).scheme in SCHEMES and urlsplit(route.url).hostname
    ]


def backend_of(routes: Sequence[Route]) -> dict[str, str]:
    """Return the metadata `backend` for the only store of a flist; several need a router."""
    if len({route.url for route in routes}) != 1:
        return {}
    parts = urlsplit(routes[0].url)
    value = {
        "host": parts.hostname,
        "port": parts.port or PORTS[parts.scheme],
        "namespace": unquote(parts.path.strip("/")) or "default",
    }
    if parts.password:
        value["password"] = unquote(parts.password)
    return {"backend": json.dumps(value)}


def make_router(routes: Sequence[Route]) -> bytes:
    """Return the `router.yaml` of several routes: a pool for each, tried in their order."""
    if len(routes) < 2 and all((r.start, r.end) == (0, 255) for r in routes):
        return b""
    names = [f"store{index}" for index in range(len(routes))]
    pools = {
        name: {f"{route.start:02x}:{route.end:02x}": route.url}
        for name, route in zip(names, routes, strict=True)
    }
    text: str = yaml.safe_dump({"pools": pools, "lookup": names, "cache": []}, sort_keys=False)
    return text.encode()
