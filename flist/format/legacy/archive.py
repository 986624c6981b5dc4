"""The older `.flist`: a gzip tar with a SQLite table of Cap'n Proto records, read only.

Directories are found by the keys that stand in the records, access rights likewise: how those keys
were computed changed over the years, and for some years they were computed wrongly. Read whole
into memory. Source of the layouts: upstream's 0-flist and 0-fs.
"""

import grp
import gzip
import itertools
import json
import os
import pwd
import sqlite3
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from flist.errors import FlistError, FormatError
from flist.format.database import connect
from flist.format.legacy.capnp import Message, Struct
from flist.format.legacy.router import MAX_ROUTER_BYTES, parse_router
from flist.format.rows import check_name
from flist.model import (
    CHUNK_BYTES,
    NO_META,
    NS,
    ROOT_INO,
    Block,
    Inode,
    Meta,
    Route,
    chunk_count,
)

MAGIC = b"\x1f\x8b"
DATABASE = "flistdb.sqlite3"
ROUTER = "router.yaml"
ROOT_KEY = "cae66941d9efbd404e4d88758ea67670"  # BLAKE2b-128 of the empty path
MAX_DATABASE_BYTES = 4 << 30
MAX_MEMBERS = 64
MAX_OTHER_BYTES = 16 << 20
DEFAULT_ROUTE = "zdb://hub.grid.tf:9900"
DIRECTORY, FILE, LINK, SPECIAL = 0, 1, 2, 3
DEFAULT_OWNER = 1000
DEFAULT_MODE = 0o400
SPECIAL_TYPES = {0: stat.S_IFSOCK, 1: stat.S_IFBLK, 2: stat.S_IFCHR, 3: stat.S_IFIFO}


class Rights(NamedTuple):
    """Owner and mode of an access record."""

    uid: int
    gid: int
    mode: int


class LegacyFlist:
    """An older flist with the same questions as `flist.format.database.FlistFile` answers."""

    def __init__(
        self,
        path: Path,
        records: dict[str, bytes],
        metadata: dict[str, str],
        router: Sequence[Route] = (),
    ) -> None:
        self.path = path
        self.router = router
        self.records = records
        self.metadata = metadata
        self.table: dict[int, Inode] = {}
        self.tree: dict[int, list[Inode]] = {}
        self.block_lists: dict[int, list[Block]] = {}
        self.metas: dict[int, Meta] = {}
        self.known_rights: dict[bytes, Rights] = {}

    @classmethod
    def open(cls, path: Path) -> "LegacyFlist":
        """Read all of `path`; raises `FlistError`."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                database = Path(folder) / DATABASE
                router = extract_database(path, database)
                routes = parse_router(router) if router is not None else []
                flist = cls(path, *read_records(database), routes)
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise FormatError(f"cannot open {path}: {error}") from error
        flist.load()
        return flist

    def __enter__(self) -> "LegacyFlist":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is open."""

    def load(self) -> None:
        """Turn the records into inodes, from the root down."""
        root = self.directory(ROOT_KEY)
        rights = self.rights(root.text(4))
        times = root.number(12, "I") * NS, root.number(8, "I") * NS
        self.add(Inode(ROOT_INO, 0, b"/", 4096, rights.uid, rights.gid,
                       stat.S_IFDIR | rights.mode & 0o7777, 0, *times))  # fmt: skip
        pending = [(ROOT_INO, root)]
        seen = {ROOT_KEY}
        for parent, record in pending:  # grows while we walk
            for entry in record.structs(2):
                key = self.load_entry(parent, entry)
                if key is not None:
                    if key in seen:
                        raise FormatError(f"cannot open {self.path}: a directory is in it twice")
                    seen.add(key)
                    pending.append((len(self.table), self.directory(key)))
        self.records = {}

    def directory(self, key: str) -> Struct:
        """Return the record of a directory."""
        data = self.records.get(key)
        if data is None:
            raise FormatError(f"cannot open {self.path}: directory {key[:64]} is missing")
        return Message(data).root()

    def add(self, inode: Inode) -> None:
        """Take an inode in."""
        self.table[inode.ino] = inode
        if inode.ino != ROOT_INO:
            self.tree.setdefault(inode.parent, []).append(inode)

    def load_entry(self, parent: int, entry: Struct) -> str | None:
        """Take an entry of a directory in; return the key of its record if it is a directory."""
        ino = len(self.table) + 1
        name = check_name(ino, entry.text(0))
        kind = entry.number(8, "H")
        rights = self.rights(entry.text(2))
        size, rdev, key = entry.number(0, "Q"), 0, None
        union = entry.struct(1)
        if kind == DIRECTORY:
            key = union.text(0).decode(errors="replace") if union else ""
            form, size = stat.S_IFDIR, 4096
            record = self.directory(key)
            rights = self.rights(record.text(4))
        elif kind == FILE:
            form = stat.S_IFREG
            self.load_blocks(ino, size, union)
        elif kind == LINK:
            form = stat.S_IFLNK
            target = union.text(0) if union else b""
            self.metas[ino], size = Meta(target), len(target)
            rights = rights._replace(mode=0o777)
        elif kind == SPECIAL:
            form, rdev = special_type(union, rights.mode)
            size = 0
        else:
            raise FormatError(f"inode {ino} is of an unknown kind {kind}")
        times = entry.number(16, "I") * NS, entry.number(12, "I") * NS
        mode = form | rights.mode & 0o7777
        self.add(Inode(ino, parent, name, size, rights.uid, rights.gid, mode, rdev, *times))
        return key

    def load_blocks(self, ino: int, size: int, union: Struct | None) -> None:
        """Take the blocks of a file in."""
        if union is None:
            return
        chunk = union.number(0, "H") * 4096
        if size and chunk != CHUNK_BYTES:
            raise FormatError(f"inode {ino} has chunks of {chunk} bytes")
        blocks = [Block(item.data(0), item.data(1)) for item in union.structs(0)]
        if len(blocks) < chunk_count(size) or any(
            len(b.id) != 16 or len(b.key) != 16 for b in blocks
        ):
            raise FormatError(f"inode {ino} has {len(blocks)} blocks for {size} bytes")
        self.block_lists[ino] = blocks[: chunk_count(size)]

    def rights(self, key: bytes) -> Rights:
        """Return owner and mode of the access record `key`."""
        known = self.known_rights.get(key)
        if known is None:
            data = self.records.get(key.decode(errors="replace"))
            known = read_rights(Message(data).root()) if data else None
            known = known or Rights(DEFAULT_OWNER, DEFAULT_OWNER, DEFAULT_MODE)
            self.known_rights[key] = known
        return known

    def inode(self, ino: int) -> Inode | None:
        """Return one inode, or None."""
        return self.table.get(ino)

    def children(self, ino: int) -> list[Inode]:
        """Return what directory `ino` holds."""
        return self.tree.get(ino, [])

    def inodes(self) -> Iterator[Inode]:
        """Return every inode."""
        return iter(self.table.values())

    def blocks(self, ino: int) -> list[Block]:
        """Return the blocks of a file."""
        return self.block_lists.get(ino, [])

    def small_blocks(self, _folder: int, _start: int) -> dict[int, Block]:
        """Return nothing: all blocks are in memory."""
        return {}

    def parts(self, _block_id: bytes) -> bytes | None:
        """Return nothing: the older format has no such rows."""
        return None

    def all_parts(self) -> dict[bytes, bytes]:
        """Return nothing either."""
        return {}

    def all_blocks(self) -> Iterator[tuple[int, Block]]:
        """Return (inode number, block) for every block."""
        return ((ino, block) for ino, blocks in self.block_lists.items() for block in blocks)

    def meta(self, ino: int) -> Meta:
        """Return a link's target."""
        return self.metas.get(ino, NO_META)

    def all_meta(self) -> dict[int, Meta]:
        """Return `meta` of every link."""
        return self.metas

    def routes(self) -> list[Route]:
        """Return the router's, or else the backend of the metadata, or else upstream's hub."""
        if self.router:
            return list(self.router)
        try:
            backend = json.loads(self.metadata.get("backend", "{}"))
            host, port = str(backend["host"]), int(backend["port"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return [Route(0, 255, DEFAULT_ROUTE)]
        namespace = str(backend.get("namespace") or "")
        return [
            Route(0, 255, f"zdb://{host}:{port}" + (f"/{quote(namespace)}" if namespace else ""))
        ]

    def tags(self) -> dict[str, str]:
        """Return the metadata: entrypoint, environ, port, volume, readme (JSON texts)."""
        return {key: value for key, value in self.metadata.items() if key != "backend"}

    def totals(self) -> tuple[int, int]:
        """Return how many inodes there are and how many bytes its files have."""
        return len(self.table), sum(i.size for i in self.table.values() if i.is_file)

    def large_folders(self) -> set[int]:
        """Return nothing: all directories are in memory."""
        return set()

    def folder_counts(self) -> dict[int, int]:
        """Return how many directories each directory holds, where that is not none."""
        counts = {ino: sum(e.is_dir for e in entries) for ino, entries in self.tree.items()}
        return {ino: count for ino, count in counts.items() if count}

    def data_bytes(self) -> dict[int, int]:
        """Return nothing: holes are not recorded."""
        return {}

    def xattr_names(self) -> set[bytes]:
        """Return nothing: attributes are not recorded."""
        return set()


def extract_database(path: Path, database: Path) -> bytes | None:
    """Write the SQLite file inside the archive `path` to `database`; return its router, if any."""
    router, is_found = None, False
    with gzip.open(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
        for member in itertools.islice(archive, MAX_MEMBERS):
            name = Path(member.name).name if member.isreg() else ""
            if name == DATABASE and not is_found:
                copy_member(path, archive, member, database)
                is_found = True
            elif member.size > MAX_OTHER_BYTES:
                break  # nothing that we look for, and nothing to read through
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
    """Write one file of an archive to `target`."""
    if member.size > MAX_DATABASE_BYTES:
        raise FlistError(f"cannot open {path}: its database is too large")
    source = archive.extractfile(member)
    assert source is not None
    with target.open("wb") as stream:
        while data := source.read(1 << 20):
            stream.write(data)


def read_records(database: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the records by key, and the metadata."""
    connection = connect(database)
    try:
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        tables = {name for (name,) in connection.execute(query)}
        if "entries" not in tables:
            raise FormatError("cannot read the flist: it has no table of entries")
        for table in ("entries", "metadata"):
            columns = connection.execute(f"PRAGMA table_xinfo({table})")
            if any(column[-1] for column in columns):  # computed: of any size
                raise FormatError(f"cannot read the flist: table {table} is not a plain table")
        records = dict(connection.execute("SELECT key, value FROM entries"))
        metadata = dict(connection.execute("SELECT key, value FROM metadata")) if (
            "metadata" in tables) else {}  # fmt: skip
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise FormatError(f"cannot read the flist: {error}") from error
    finally:
        connection.close()
    if not all(isinstance(value, bytes) for value in records.values()):
        raise FormatError("cannot read the flist: an entry is not bytes")
    return records, {str(key): str(value) for key, value in metadata.items()}


def read_rights(record: Struct) -> Rights:
    """Return what an access record says; numbers that are missing come from the names."""
    uid, gid = ~record.number(8, "q"), ~record.number(16, "q")
    if not 0 <= uid < 2**32:
        uid = find_user(record.text(0).decode(errors="replace"))
    if not 0 <= gid < 2**32:
        gid = find_group(record.text(1).decode(errors="replace"))
    return Rights(uid, gid, record.number(0, "H"))


def find_user(name: str) -> int:
    """Return the number of a user of this machine."""
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):  # there is none, or there can be none
        return DEFAULT_OWNER


def find_group(name: str) -> int:
    """Return the number of a group of this machine."""
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return DEFAULT_OWNER


def special_type(union: Struct | None, mode: int) -> tuple[int, int]:
    """Return type bits and device number of a special file.

    The writer never set the type, so a mode that still has its type bits is believed first, then
    a device number, which only a device has.
    """
    kind = union.number(0, "H") if union else 0
    text = (union.data(0) if union else b"").removesuffix(b"\0")
    major, comma, minor = text.partition(b",")
    is_device = bool(comma) and major.isdigit() and minor.isdigit()
    rdev = os.makedev(int(major[:9]), int(minor[:9])) if is_device else 0
    form = stat.S_IFMT(mode)
    if form not in SPECIAL_TYPES.values():
        form = SPECIAL_TYPES.get(kind, stat.S_IFSOCK)
        if is_device and form == stat.S_IFSOCK:
            form = stat.S_IFCHR
    return form, rdev if form in (stat.S_IFCHR, stat.S_IFBLK) else 0
