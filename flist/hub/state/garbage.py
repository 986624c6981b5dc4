"""Garbage collection: which blocks nothing needs, and how they are removed while others upload.

A block may go if no object and no uploaded file needs it, and nobody has relied on it for a while.
It is marked in one statement that looks at all this; a second one takes back the marks of blocks
that a transaction, which the first one had to wait for, has begun to use. From then on nobody can
rely on them: who needs one waits until it is gone, and uploads it again. A mark is good for some
minutes, so a collector that was stopped for long removes nothing any more.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, or_, select, update

from flist.errors import StoreError
from flist.hub.errors import HubError
from flist.hub.state import epoch
from flist.hub.state.batches import BATCH, batches
from flist.hub.state.blocks import ABANDONED_S, Blocks
from flist.hub.state.tables import (
    BLOCKS,
    ENTRIES,
    FILES,
    OBJECTS,
    PIECES,
    SIGNATURES,
    UPLOADS,
    USES,
    VERSIONS,
)
from flist.store.base import ListingStore, RemovingStore, Stored
from flist.store.folder import FolderStore
from serving.database import insert_new

MARK_S = ABANDONED_S / 2
"""A collector removes nothing under an older mark; others take such a row over after twice that."""
REMOVERS = 8
Progress = Callable[[str, int], None]


class StoppedError(HubError):
    """The collector was told to stop."""


@dataclass
class Garbage:
    """The result of a collection, in blocks, bytes and objects."""

    removed: int = 0
    removed_bytes: int = 0
    kept: int = 0
    objects: int = 0
    failed: list[str] = field(default_factory=list)


IS_NEEDED = or_(
    exists().where(USES.c.block == BLOCKS.c.id), exists().where(PIECES.c.block == BLOCKS.c.id)
)
IS_REFERRED = or_(
    exists().where(VERSIONS.c.object == OBJECTS.c.digest),
    exists().where(ENTRIES.c.object == OBJECTS.c.digest),
    exists().where(FILES.c.object == OBJECTS.c.digest),
)


class Collector:
    """Collects the garbage of a hub; nothing that was relied on after `cutoff_s`."""

    def __init__(
        self,
        blocks: Blocks,
        cutoff_s: float,
        *,
        is_dry: bool = False,
        progress: Progress = lambda _what, _count: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.blocks = blocks
        self.database = blocks.database
        self.store = blocks.store
        self.cutoff_s = cutoff_s
        self.is_dry = is_dry
        self.progress = progress
        self.should_stop = should_stop
        self.found = Garbage()

    def collect(self) -> Garbage:
        """Remove what nothing needs. What the store refuses is told in the result."""
        self.remove_objects()
        self.finish_abandoned()
        self.remove_blocks()
        self.remove_orphans()
        return self.found

    def check_stop(self) -> None:
        """Raise `StoppedError` if the collector shall stop; what is done is done."""
        if self.should_stop():
            raise StoppedError("the garbage collection was stopped")

    # -- objects ---------------------------------------------------------------------------------

    def remove_objects(self) -> None:
        """Remove the objects that no version, entry or uploader keeps, so that their blocks can
        go; and the parts of files that nobody keeps."""
        is_old = and_(OBJECTS.c.touched_s < self.cutoff_s, ~IS_REFERRED)
        last = ""
        while True:
            with self.database.writing() as connection:
                wanted = select(OBJECTS.c.digest).where(is_old, OBJECTS.c.digest > last)
                wanted = wanted.order_by(OBJECTS.c.digest).limit(BATCH).with_for_update()
                names = [row.digest for row in connection.execute(wanted)]
                if not names:
                    break
                last = names[-1]
                self.found.objects += self.remove_batch(connection, names)
            self.progress("objects", self.found.objects)
            self.check_stop()
        if not self.is_dry:
            self.forget_parts()
            with self.database.writing() as connection:
                old = SIGNATURES.c.at_s < self.cutoff_s
                connection.execute(delete(SIGNATURES).where(old))

    def forget_parts(self) -> None:
        """Remove the parts of files that are no object, and that nobody keeps any more."""
        for table in (PIECES, USES):
            is_kept = or_(
                exists().where(OBJECTS.c.digest == table.c.object),
                exists().where(FILES.c.object == table.c.object),
            )
            with self.database.reading() as connection:
                wanted = select(table.c.object).where(~is_kept).distinct()
                names = [row.object for row in connection.execute(wanted)]
            for batch in batches(names):
                with self.database.writing() as connection:
                    these = table.c.object.in_(batch)
                    connection.execute(delete(table).where(these, ~is_kept))

    def remove_batch(self, connection: Connection, names: Sequence[str]) -> int:
        """Remove objects whose rows are locked, unless they were published just before that."""
        still = select(OBJECTS.c.digest).where(OBJECTS.c.digest.in_(names), ~IS_REFERRED)
        gone = [row.digest for row in connection.execute(still)]
        if not self.is_dry:
            for table, column in (
                (PIECES, PIECES.c.object),
                (USES, USES.c.object),
                (OBJECTS, OBJECTS.c.digest),
            ):
                connection.execute(delete(table).where(column.in_(gone)))
        return len(gone)

    # -- blocks ----------------------------------------------------------------------------------

    def remove_blocks(self) -> None:
        """Remove the blocks that nothing needs."""
        last = b""
        while rows := self.candidates(last):
            last = rows[-1].id
            ids = [row.id for row in rows]
            if self.is_dry:
                self.found.removed += len(rows)
                self.found.removed_bytes += sum(row.size for row in rows)
            else:
                now_s = time.time()
                self.remove_marked(self.mark(ids, now_s), now_s)
            self.progress("blocks", self.found.removed)
            self.check_stop()

    def candidates(self, last: bytes) -> list[Stored]:
        """Return some blocks after `last` that nothing needs."""
        is_old = and_(BLOCKS.c.touched_s < self.cutoff_s, BLOCKS.c.removing_s.is_(None))
        wanted = select(BLOCKS.c.id, BLOCKS.c.size, BLOCKS.c.touched_s)
        is_needed = self.is_needed_later() if self.is_dry else IS_NEEDED
        wanted = wanted.where(BLOCKS.c.id > last, is_old, ~is_needed)
        with self.database.reading() as connection:
            rows = connection.execute(wanted.order_by(BLOCKS.c.id).limit(BATCH)).all()
        return [Stored(bytes(row.id), row.size, row.touched_s) for row in rows]

    def is_needed_later(self) -> ColumnElement[bool]:
        """Return the condition that a block is needed once the objects have been removed."""
        is_doomed = and_(OBJECTS.c.touched_s < self.cutoff_s, ~IS_REFERRED)
        return or_(
            *(
                exists().where(
                    table.c.block == BLOCKS.c.id,
                    ~exists().where(OBJECTS.c.digest == table.c.object, is_doomed),
                )
                for table in (USES, PIECES)
            )
        )

    def mark(self, ids: Sequence[bytes], now_s: float) -> list[Stored]:
        """Mark blocks for removal; return those that are marked in the end."""
        is_old = and_(BLOCKS.c.touched_s < self.cutoff_s, BLOCKS.c.removing_s.is_(None))
        these = BLOCKS.c.id.in_(ids)
        mine = and_(these, BLOCKS.c.removing_s == now_s)
        with self.database.writing() as connection:
            change = update(BLOCKS).where(these, is_old, ~IS_NEEDED)
            connection.execute(change.values(removing_s=now_s))
            connection.execute(update(BLOCKS).where(mine, IS_NEEDED).values(removing_s=None))
            epoch.bump(connection, epoch.REMOVALS)
            rows = connection.execute(select(BLOCKS.c.id, BLOCKS.c.size).where(mine)).all()
        return [Stored(bytes(row.id), row.size, now_s) for row in rows]

    def remove_marked(self, marked: Sequence[Stored], mark_s: float) -> None:
        """Remove blocks from the store, then their rows; what the store refuses stays."""
        if not marked:
            return
        with ThreadPoolExecutor(REMOVERS) as pool:
            results = list(pool.map(lambda block: self.remove_one(block.id, mark_s), marked))
        gone = [block for block, is_gone in zip(marked, results, strict=True) if is_gone]
        kept = [block.id for block, is_gone in zip(marked, results, strict=True) if not is_gone]
        mine = BLOCKS.c.removing_s == mark_s
        with self.database.writing() as connection:
            ids = [block.id for block in gone]
            connection.execute(delete(UPLOADS).where(UPLOADS.c.block.in_(ids)))
            connection.execute(delete(BLOCKS).where(BLOCKS.c.id.in_(ids), mine))
            back = update(BLOCKS).where(BLOCKS.c.id.in_(kept), mine)
            connection.execute(back.values(removing_s=None, touched_s=time.time()))
        self.found.removed += len(gone)
        self.found.removed_bytes += sum(block.size for block in gone)
        self.found.kept += len(kept)

    def remove_one(self, block_id: bytes, mark_s: float) -> bool:
        """Remove one block from the store; return whether it is gone."""
        assert isinstance(self.store, RemovingStore)
        if time.time() - mark_s > MARK_S or self.is_young(block_id):
            return False
        try:
            self.store.remove(block_id)
        except StoreError as error:
            self.found.failed.append(f"{block_id.hex()}: {error.message}")
            return False
        return True

    def is_young(self, block_id: bytes) -> bool:
        """Return whether something has packed the block into the folder itself a short time ago."""
        found = self.store.find(block_id) if isinstance(self.store, FolderStore) else None
        return found is not None and found[1] > self.cutoff_s

    def finish_abandoned(self) -> None:
        """Remove the blocks that were marked by a collector that has died meanwhile."""
        if self.is_dry:
            return
        now_s = time.time()
        is_abandoned = BLOCKS.c.removing_s < now_s - ABANDONED_S
        with self.database.writing() as connection:
            connection.execute(update(BLOCKS).where(is_abandoned).values(removing_s=now_s))
            epoch.bump(connection, epoch.REMOVALS)
            mine = BLOCKS.c.removing_s == now_s
            rows = connection.execute(select(BLOCKS.c.id, BLOCKS.c.size).where(mine)).all()
        for batch in batches(Stored(bytes(row.id), row.size, now_s) for row in rows):
            self.remove_marked(batch, now_s)

    # -- orphans ---------------------------------------------------------------------------------

    def remove_orphans(self) -> None:
        """Remove old blocks of the store that have no row, where the store can list its blocks."""
        if isinstance(self.store, ListingStore):
            old = (block for block in self.store.stored() if block.changed_s < self.cutoff_s)
            for batch in batches(old):
                self.remove_unknown(batch)
                self.check_stop()

    def remove_unknown(self, stored: Sequence[Stored]) -> None:
        """Remove those of some stored blocks that have no row: each gets one with a mark."""
        with self.database.reading() as connection:
            these = BLOCKS.c.id.in_([block.id for block in stored])
            known = {bytes(row.id) for row in connection.execute(select(BLOCKS.c.id).where(these))}
        unknown = [block for block in stored if block.id not in known]
        if self.is_dry or not unknown:
            self.found.removed += len(unknown)
            self.found.removed_bytes += sum(block.size for block in unknown)
            return
        now_s = time.time()
        with self.database.writing() as connection:
            marked = [block for block in unknown if insert_marked(connection, block, now_s)]
            epoch.bump(connection, epoch.REMOVALS)
        self.remove_marked(marked, now_s)
        # What the store has refused to remove has a row now, as if somebody had uploaded it.


def insert_marked(connection: Connection, block: Stored, now_s: float) -> bool:
    """Insert the marked row of a block, unless it has one meanwhile."""
    values = {"id": block.id, "size": block.size, "created_s": now_s, "touched_s": now_s,
              "removing_s": now_s, "downloads": 0}  # fmt: skip
    return insert_new(connection, BLOCKS, values)
