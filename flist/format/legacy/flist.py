"""An open flist of the older format, with the interface of `flist.format.database.FlistFile`.

It is read completely into memory.
"""

import bisect
import itertools
import json
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from flist.errors import FormatError
from flist.format.legacy.archive import DATABASE, extract_database, read_records
from flist.format.legacy.records import Decoded, RecordReader
from flist.format.legacy.router import parse_router
from flist.format.sqlitefile import Check
from flist.model import NO_META, ROOT_INO, Block, Inode, Meta, Route

DEFAULT_ROUTE = "zdb://hub.grid.tf:9900"


class LegacyFlist:
    """An older flist. `metadata` holds its JSON texts by key, `router` the routes of its
    `router.yaml`, if it has one."""

    def __init__(
        self,
        path: Path,
        decoded: Decoded,
        metadata: Mapping[str, str],
        router: Sequence[Route] = (),
    ) -> None:
        self.path = path
        self.decoded = decoded
        self.metadata = metadata
        self.router = router

    @classmethod
    def open(cls, path: Path, check: Check | None = None) -> "LegacyFlist":
        """Read all of `path`, or if there is a `check`, of a copy that passes it
        (`flist.format.opening`); raises `FlistError`."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                database, copy = Path(folder, DATABASE), Path(folder, "copy.flist")
                if check is not None:
                    shutil.copyfile(path, copy)
                    with copy.open("rb") as stream:
                        check(path, stream)
                router = extract_database(path, database, copy if check is not None else path)
                routes = parse_router(router) if router is not None else []
                records, metadata = read_records(path, database)
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise FormatError(f"cannot open {path}: {error}") from error
        return cls(path, RecordReader(path, records).run(), metadata, routes)

    def __enter__(self) -> "LegacyFlist":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: no file is open."""

    def find_damage(self) -> list[str]:
        """Return nothing: all was read, without an index."""
        return []

    def inode(self, ino: int) -> Inode | None:
        """Return one inode, or None."""
        return self.decoded.inodes.get(ino)

    def children(self, ino: int) -> list[Inode]:
        """Return the entries of directory `ino`."""
        return self.decoded.children.get(ino, [])

    def child(self, folder: int, name: bytes) -> Inode | None:
        """Return the first entry `name` of directory `folder`, or None."""
        return next((inode for inode in self.children(folder) if inode.name == name), None)

    def entries_after(self, folder: int, ino: int, limit: int) -> list[Inode]:
        """Return up to `limit` entries of directory `folder` after inode `ino`."""
        entries = self.children(folder)
        first = bisect.bisect_right(entries, ino, key=lambda entry: entry.ino)
        return entries[first : first + limit]

    def is_large(self, _folder: int) -> bool:
        """Return False: listing a directory costs nothing, since all is in memory."""
        return False

    def count_entries(self, folder: int) -> int:
        """Return how many entries directory `folder` has."""
        return len(self.children(folder))

    def find_names(self, text: str, after: int, limit: int) -> list[Inode]:
        """Return up to `limit` entries with `text` in their name, after inode `after`. Small and
        capital letters of ASCII are the same."""
        wanted = text.encode(errors="replace").lower()
        found = (
            inode
            for ino, inode in self.decoded.inodes.items()
            if ino > after and ino != ROOT_INO and wanted in inode.name.lower()
        )
        return list(itertools.islice(found, limit))

    def folder_keys(self, folder: int) -> dict[int, bytes]:
        """Return the keys of the blocks of each file in directory `folder`, joined, by inode."""
        found = {entry.ino: self.blocks(entry.ino) for entry in self.children(folder)}
        return {ino: b"".join(b.key for b in blocks) for ino, blocks in found.items() if blocks}

    def inodes(self) -> Iterator[Inode]:
        """Return every inode."""
        return iter(self.decoded.inodes.values())

    def block_rows(self, _ino: int) -> None:
        """Return None: all blocks are in memory."""

    def blocks_between(self, ino: int, rows: range, first: int) -> list[Block]:
        """Return some blocks of a file; never called, since there are no `block_rows`."""
        return self.blocks(ino)[first : first + len(rows)]

    def blocks(self, ino: int) -> list[Block]:
        """Return the blocks of a file, first chunk first."""
        return self.decoded.blocks.get(ino, [])

    def small_blocks(self, _folder: int, _start: int) -> dict[int, Block]:
        """Return nothing: reading ahead gains nothing, since all blocks are in memory."""
        return {}

    def parts(self, _block_id: bytes) -> bytes | None:
        """Return None: the older format does not record parts."""
        return None

    def all_parts(self) -> dict[bytes, bytes]:
        """Return nothing: the older format does not record parts."""
        return {}

    def all_blocks(self) -> Iterator[tuple[int, Block]]:
        """Yield (inode number, block) for every block of every file, grouped by inode."""
        every = self.decoded.blocks.items()
        return ((ino, block) for ino, blocks in every for block in blocks)

    def meta(self, ino: int) -> Meta:
        """Return the target of a link."""
        return self.decoded.metas.get(ino, NO_META)

    def all_meta(self) -> dict[int, Meta]:
        """Return `meta` of every link, by inode number."""
        return self.decoded.metas

    def routes(self) -> list[Route]:
        """Return the router's routes, else the backend in the metadata, else upstream's hub."""
        if self.router:
            return list(self.router)
        try:
            backend = json.loads(self.metadata.get("backend", "{}"))
            host, port = str(backend["host"]), int(backend["port"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return [Route(0, 255, DEFAULT_ROUTE)]
        namespace, password = (str(backend.get(key) or "") for key in ("namespace", "password"))
        path = f"/{quote(namespace)}" if namespace not in ("", "default") else ""
        login = f":{quote(password, safe='')}@" if password else ""
        url = f"zdb://{login}{host}:{port}{path}"
        return [Route(0, 255, url)]

    def tags(self) -> dict[str, str]:
        """Return the metadata as tags: entrypoint, environ, port, volume, readme (JSON texts)."""
        return {key: value for key, value in self.metadata.items() if key != "backend"}

    def totals(self) -> tuple[int, int]:
        """Return the number of inodes and the sum of the files' sizes in bytes."""
        inodes = self.decoded.inodes.values()
        return len(inodes), sum(inode.size for inode in inodes if inode.is_file)

    def large_folders(self) -> set[int]:
        """Return nothing: no directory is slow to read, since all are in memory."""
        return set()

    def folder_counts(self) -> dict[int, int]:
        """Return the number of subdirectories of each directory that has any."""
        every = self.decoded.children.items()
        counts = {ino: sum(entry.is_dir for entry in entries) for ino, entries in every}
        return {ino: count for ino, count in counts.items() if count}

    def data_bytes(self) -> dict[int, int]:
        """Return nothing: the older format does not record holes."""
        return {}

    def xattr_names(self) -> set[bytes]:
        """Return nothing: the older format does not record extended attributes."""
        return set()
