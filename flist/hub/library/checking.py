"""The integrity of a hub: every block and file is whole, and all references lead somewhere.

What is missing or damaged can be taken from a mirror: another hub, a folder, or any store. What
comes from there is checked like everything else.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import delete, exists, func, select, text, update

from flist.blocks.codec import digest
from flist.errors import BlockError, BlockMissingError, FlistError, StoreError
from flist.hub.errors import InvalidError
from flist.hub.library.accepting import parse_flist
from flist.hub.library.hub import Hub, allow_large
from flist.hub.state.batches import BATCH, batches
from flist.hub.state.garbage import Progress
from flist.hub.state.objects import Object, insert_all
from flist.hub.state.tables import BLOCKS, OBJECTS, PIECES, USES
from flist.hub.state.viewer import ANYBODY
from flist.store.base import ListingStore, Store, open_store
from flist.store.folder import FolderStore
from flist.store.places import replace

READERS = 8
MAX_TOLD = 10_000


@dataclass
class Report:
    """What was looked at, what is wrong with it, and what was mended."""

    blocks: int = 0
    objects: int = 0
    copies: int = 0
    orphans: int = 0
    problems: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)

    def tell(self, what: str, *, is_mended: bool) -> None:
        """Note something that is wrong, or was."""
        found = self.repaired if is_mended else self.problems
        if len(found) < MAX_TOLD:
            found.append(what)


def silent(_what: str, _count: int) -> None:
    """Tell nobody about progress."""


def open_mirror(place: str, max_bytes: int) -> Store:
    """Return the blocks of a mirror: a hub's URL or folder, a folder of blocks, a store's URL."""
    if place.startswith(("http://", "https://")):
        store: Store = open_store(f"{place.rstrip('/')}/blocks")
    elif "://" in place:
        store = open_store(place)
    else:
        folder = Path(place)
        store = FolderStore(folder / "blocks" if (folder / "blocks").is_dir() else folder)
    allow_large(store, max_bytes)
    return store


def check_hub(hub: Hub, mirror: Store | None = None, progress: Progress = silent) -> Report:
    """Check everything; with a `mirror`, mend what can be mended. Servers may run meanwhile."""
    return Checker(hub, mirror, progress).check()


class Checker:
    """One check of a hub."""

    def __init__(self, hub: Hub, mirror: Store | None, progress: Progress) -> None:
        self.hub = hub
        self.mirror = mirror
        self.progress = progress
        self.report = Report()

    def check(self) -> Report:
        """Check the database itself, then blocks, then what consists of them."""
        self.check_database()
        self.check_blocks()
        self.check_references()
        for found in self.all_objects():
            self.check_object(found)
            self.report.objects += 1
            self.progress("files", self.report.objects)
        self.check_copies()
        self.count_orphans()
        self.report.problems.sort()
        self.report.repaired.sort()
        return self.report

    def check_database(self) -> None:
        """Let SQLite look through its file; PostgreSQL does so by itself."""
        database = self.hub.database
        if database.is_postgresql:
            return
        with database.reading() as connection:
            for row in connection.execute(text("PRAGMA integrity_check(10)")):
                if row[0] != "ok":
                    self.report.tell(f"the database: {row[0]}", is_mended=False)
            for row in connection.execute(text("PRAGMA foreign_key_check")):
                self.report.tell(f"the database: a row of {row[0]} refers to none of {row[2]}",
                                 is_mended=False)  # fmt: skip

    # -- blocks ----------------------------------------------------------------------------------

    def check_blocks(self) -> None:
        """Read every block that the database knows."""
        with ThreadPoolExecutor(READERS) as pool:
            for rows in self.all_blocks():
                for _ in pool.map(lambda row: self.check_block(*row), rows):
                    self.report.blocks += 1
                self.progress("blocks", self.report.blocks)

    def all_blocks(self) -> Iterator[list[tuple[bytes, int]]]:
        """Yield id and size of all blocks that are not being removed, in lists."""
        last = b""
        while True:
            wanted = select(BLOCKS.c.id, BLOCKS.c.size)
            wanted = wanted.where(BLOCKS.c.id > last, BLOCKS.c.removing_s.is_(None))
            with self.hub.database.reading() as connection:
                rows = connection.execute(wanted.order_by(BLOCKS.c.id).limit(BATCH)).all()
            if not rows:
                return
            yield [(bytes(row.id), row.size) for row in rows]
            last = bytes(rows[-1].id)

    def check_block(self, block_id: bytes, size: int) -> None:
        """Check one block; if it is wrong, take it from the mirror."""
        name = block_id.hex()
        try:
            found = len(self.hub.blocks.get(block_id))
        except (BlockError, BlockMissingError) as error:
            if self.is_being_removed(block_id):
                return
            what = "is missing" if isinstance(error, BlockMissingError) else "is damaged"
            self.report.tell(f"block {name} {what}", is_mended=self.mend(block_id))
            return
        except StoreError as error:
            what = f"block {name} cannot be read: {error.__cause__ or error}"
            self.report.tell(what, is_mended=self.mend(block_id))
            return
        if found != size:
            self.report.tell(f"block {name} has {found} bytes, the database says {size}",
                             is_mended=self.set_size(block_id, found))  # fmt: skip

    def is_being_removed(self, block_id: bytes) -> bool:
        """Return whether garbage collection has taken a block since it was listed."""
        row = self.hub.blocks.find(block_id)
        return row is None or row.removing_s is not None

    def mend(self, block_id: bytes) -> bool:
        """Put a block from the mirror into the store; return whether it has a good one."""
        if self.mirror is None:
            return False
        try:
            data = self.mirror.get(block_id)
            if digest(data, len(block_id)) != block_id:
                return False
            replace(self.hub.store, block_id, data)
            self.hub.blocks.put(ANYBODY, block_id, data, is_open=False)
        except (FlistError, OSError):
            return False
        return self.set_size(block_id, len(data))

    def set_size(self, block_id: bytes, size: int) -> bool:
        """Correct the size in the database, if this is a repair."""
        if self.mirror is None:
            return False
        with self.hub.database.writing() as connection:
            mine = BLOCKS.c.id == block_id
            connection.execute(update(BLOCKS).where(mine).values(size=size))
        return True

    # -- references ------------------------------------------------------------------------------

    def check_references(self) -> None:
        """Look for blocks that are needed, but not in the database."""
        for table in (USES, PIECES):
            is_there = exists().where(BLOCKS.c.id == table.c.block)
            wanted = select(table.c.block, func.min(table.c.object).label("object"))
            wanted = wanted.where(~is_there).group_by(table.c.block)
            with self.hub.database.reading() as connection:
                rows = connection.execute(wanted).all()
            for row in rows:
                block_id = bytes(row.block)
                if self.hub.blocks.find(block_id) is None:
                    text_of = f"block {block_id.hex()} is missing, and {row.object} needs it"
                    self.report.tell(text_of, is_mended=self.mend(block_id))

    def all_objects(self) -> Iterator[Object]:
        """Yield all objects."""
        last = ""
        while True:
            wanted = select(OBJECTS.c.digest).where(OBJECTS.c.digest > last)
            with self.hub.database.reading() as connection:
                rows = connection.execute(wanted.order_by(OBJECTS.c.digest).limit(BATCH)).all()
            if not rows:
                return
            last = rows[-1].digest
            for row in rows:
                found = self.hub.objects.find(row.digest)
                if found is not None:
                    yield found

    def check_object(self, found: Object) -> None:
        """Put an object together, and compare a flist's blocks with what the database says."""
        total, size = hashlib.sha256(), 0
        pieces = self.hub.objects.pieces(found.digest)
        try:
            for piece in map(self.hub.blocks.get, pieces):
                total.update(piece)
                size += len(piece)
        except FlistError:
            self.tell_object(found, "a piece of it is missing or damaged")
            return
        if total.hexdigest() != found.digest:
            self.tell_object(found, "its pieces are others than those that were uploaded")
        elif size != found.size:
            self.tell_object(found, f"it has {size} bytes, the database says {found.size}")
        elif found.format:
            self.check_uses(found, pieces)

    def tell_object(self, found: Object, what: str) -> None:
        """Note what is wrong with an object, unless it was removed meanwhile."""
        if self.hub.objects.find(found.digest) is not None:
            self.report.tell(f"file {found.digest}: {what}", is_mended=False)

    def check_uses(self, found: Object, pieces: list[bytes]) -> None:
        """Check that the database has all blocks which a flist names."""
        try:
            named = parse_flist(self.hub.contents.path(found.digest)).blocks
        except InvalidError:
            self.tell_object(found, "it is no flist")
            return
        except FlistError:  # removed, or the store has failed, since it was put together
            self.tell_object(found, "it cannot be read")
            return
        wanted = select(USES.c.block).where(USES.c.object == found.digest)
        with self.hub.database.reading() as connection:
            known = {bytes(row.block) for row in connection.execute(wanted)}
        lacking = {*named, *pieces} - known
        if lacking and self.is_published(found.digest):
            what = f"file {found.digest}: {len(lacking)} of its blocks are not noted as needed"
            self.report.tell(what, is_mended=self.note_uses(found.digest, lacking))

    def is_published(self, name: str) -> bool:
        """Return whether an object is a version: an uploaded file may name blocks of others."""
        return self.hub.flists.is_version(name)

    def note_uses(self, name: str, lacking: set[bytes]) -> bool:
        """Note the blocks that a flist needs, if this is a repair."""
        if self.mirror is None:
            return False
        with self.hub.database.writing() as connection:
            for batch in batches(sorted(lacking)):
                these = (USES.c.object == name) & USES.c.block.in_(batch)
                connection.execute(delete(USES).where(these))
                insert_all(connection, USES, ({"block": b, "object": name} for b in batch))
        return True

    # -- beside the database ---------------------------------------------------------------------

    def check_copies(self) -> None:
        """Check this server's copies of files; a damaged one is removed."""
        for path in self.hub.contents.cache.glob("*/*"):
            if path.suffix or not path.is_file():
                continue
            self.report.copies += 1
            if file_digest(path) != path.name:
                path.unlink(missing_ok=True)
                self.report.tell(f"the copy of {path.name} was damaged", is_mended=True)

    def count_orphans(self) -> None:
        """Count the blocks of the store without a row, which `gc` removes once they are old."""
        if not isinstance(self.hub.store, ListingStore):
            return
        for batch in batches(self.hub.store.stored()):
            ids = [block.id for block in batch]
            with self.hub.database.reading() as connection:
                known = select(func.count()).where(BLOCKS.c.id.in_(ids))
                self.report.orphans += len(ids) - int(connection.execute(known).scalar() or 0)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file; empty if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
