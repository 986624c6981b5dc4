"""The blocks: what the store has, what the database knows of it, and who uploaded it.

A row says that the store has the block. Garbage collection (`flist.hub.state.garbage`) marks a row,
removes the block from the store, then the row. So an upload
  1. makes the row young, which is all if there is one; one that is marked is waited for,
  2. puts the block into the store,
  3. inserts the row; if blocks were removed meanwhile and this one is gone, it begins again.
"""

import contextlib
import errno
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, update

from flist.blocks.codec import digest
from flist.errors import BlockError, BlockMissingError, StoreError, StoreUnavailableError
from flist.hub.state import epoch
from flist.hub.state.batches import batches
from flist.hub.state.quotas import Quotas
from flist.hub.state.tables import BLOCKS, UPLOADS
from flist.hub.state.viewer import Viewer
from flist.store.base import Store, get_range
from flist.store.folder import FolderStore
from serving.content import Content, FileOpener, Pieces
from serving.database import Database, insert_new

YOUNG_S = 60.0
"""A row this young is not made younger: that would cost a write."""
WAIT_S = 60.0
ABANDONED_S = 600.0
"""Whoever has marked a block for so long does not live any more."""
PAUSE_S = 0.05
ADOPTERS = 8
REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENOTDIR, errno.EISDIR)
"""What the folder of blocks refuses, and a client may know of."""
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO)


class BusyError(StoreUnavailableError):
    """The block is being removed all the time."""

    http_status = 503


class StoreDownError(StoreUnavailableError):
    """The store does not do what it should; its own error, with places and hosts, is the cause."""

    http_status = 503

    def __init__(self) -> None:
        super().__init__("the hub's store of blocks cannot be used now", hint="try again later")
        self.http_headers = {"Retry-After": "5"}


@contextlib.contextmanager
def hiding(*, is_writing: bool = False) -> Iterator[None]:
    """Raise a store's errors as clients may see them, and an `OSError` of writing as it is."""
    try:
        yield
    except BlockMissingError as error:
        raise BlockMissingError("the block is not in the store") from error
    except StoreError as error:
        cause = error.__cause__
        if is_writing and isinstance(cause, OSError) and cause.errno in REFUSED:
            raise cause from error
        raise StoreDownError from error


class Blocks:
    """The blocks of a hub. Threads, and servers on the same database, may share them."""

    def __init__(self, database: Database, store: Store, quota_bytes: int = 0) -> None:
        self.database = database
        self.quotas = Quotas(database, quota_bytes)
        self.store = store
        self.opener = FileOpener()

    # -- writing ---------------------------------------------------------------------------------

    def put(self, viewer: Viewer, block_id: bytes, data: bytes, *, is_open: bool) -> bool:
        """Keep a block, whose id the caller has computed; return whether it is new.

        The block can be relied on for as long as garbage collection leaves young ones alone, or
        once something uses it. Raises `StoreError`, and `TooLargeError` beyond the quota.
        """
        self.quotas.demand_upload(viewer, block_id, len(data))
        deadline = time.monotonic() + WAIT_S
        while True:
            removals, state = self._touch(viewer, block_id, is_open=is_open)
            if state == "known" and self._has(block_id):
                return False
            if state != "removing":
                self._put(block_id, data)
                if self._insert(viewer, block_id, len(data), removals, is_open=is_open):
                    return state == "absent"
            if time.monotonic() > deadline:
                raise BusyError("cannot keep a block: it is being removed", hint="try again")
            if state == "removing":
                self._wait_for_removal(block_id)

    def _put(self, block_id: bytes, data: bytes) -> None:
        """Put a block into the store."""
        with hiding(is_writing=True):
            self.store.put(block_id, data)

    def flush(self) -> None:
        """Return when all that was put would survive a power cut."""
        with hiding(is_writing=True):
            self.store.flush()

    def _has(self, block_id: bytes) -> bool:
        """Return whether the store has a block."""
        with hiding():
            return self.store.has(block_id)

    def _touch(self, viewer: Viewer, block_id: bytes, *, is_open: bool) -> tuple[int, str]:
        """Make a block's row young; return the count of removals, and what the row says."""
        with self.database.writing() as connection:
            removals = epoch.read(connection, epoch.REMOVALS)
            row = lock_rows(connection, [block_id]).get(block_id)
            if row is None:
                return removals, "absent"
            if row.removing_s is not None:
                return removals, "removing"
            touch(connection, [row])
            note_upload(connection, viewer, block_id, is_open=is_open)
        return removals, "known"

    def _insert(
        self, viewer: Viewer, block_id: bytes, size: int, removals: int, *, is_open: bool
    ) -> bool:
        """Insert the row of a block that the store has; return False if that is not so any more."""
        with self.database.writing() as connection:
            if not self._insert_row(connection, block_id, size, removals):
                return False
            note_upload(connection, viewer, block_id, is_open=is_open)
        return True

    def _insert_row(
        self, connection: Connection, block_id: bytes, size: int, removals: int
    ) -> bool:
        """Do so in a transaction."""
        now_s = time.time()
        values = {"id": block_id, "size": size, "created_s": now_s, "touched_s": now_s,
                  "removing_s": None, "downloads": 0}  # fmt: skip
        if not insert_new(connection, BLOCKS, values):
            row = lock_rows(connection, [block_id]).get(block_id)
            if row is None or row.removing_s is not None:
                return False
            touch(connection, [row])
        elif epoch.read(connection, epoch.REMOVALS) != removals and not self._has(block_id):
            # No removal of this block can begin or run now: there is a row without a mark.
            connection.execute(delete(BLOCKS).where(BLOCKS.c.id == block_id))
            return False
        return True

    def _wait_for_removal(self, block_id: bytes) -> None:
        """Wait for a moment, or end a removal whose server has died."""
        if not self._end_abandoned([block_id]):
            time.sleep(PAUSE_S)

    def _end_abandoned(self, block_ids: Sequence[bytes]) -> bool:
        """Forget blocks whose removal was begun by a server that has died; return whether there
        were some. The store may have them or not."""
        is_abandoned = BLOCKS.c.removing_s < time.time() - ABANDONED_S
        with self.database.writing() as connection:
            change = delete(BLOCKS).where(BLOCKS.c.id.in_(block_ids), is_abandoned)
            return connection.execute(change).rowcount > 0

    # -- relying on blocks -----------------------------------------------------------------------

    def rely_on(self, connection: Connection, block_ids: Iterable[bytes]) -> set[bytes]:
        """Make the rows of blocks young and return those that have none, or are being removed.

        Until the caller's transaction ends, none of the others can be marked for removal. What only
        the store knows must be adopted before.
        """
        missing: set[bytes] = set()
        for ids in batches(sorted(set(block_ids))):  # in one order: transactions do not deadlock
            rows = lock_rows(connection, ids)
            found = [row for row in rows.values() if row.removing_s is None]
            touch(connection, found)
            missing.update(set(ids) - {row.id for row in found})
        return missing

    def missing(self, block_ids: Iterable[bytes]) -> set[bytes]:
        """Return which blocks are not there; the others become young."""
        wanted = list(block_ids)
        self.adopt(wanted)
        with self.database.writing() as connection:
            return self.rely_on(connection, wanted)

    def adopt(self, block_ids: Iterable[bytes]) -> None:
        """Insert the rows of blocks that the store has, but nobody has uploaded here: a client may
        pack into the store itself. They are read, so a row is never of damaged bytes."""
        unknown = self._unknown(block_ids)
        if not unknown:
            return
        with ThreadPoolExecutor(ADOPTERS) as pool:
            for ids in batches(unknown):
                self._adopt(pool, ids)

    def _unknown(self, block_ids: Iterable[bytes]) -> list[bytes]:
        """Return the blocks without a row, or whose removal has not come to its end."""
        unknown: list[bytes] = []
        is_here = or_(
            BLOCKS.c.removing_s.is_(None), BLOCKS.c.removing_s >= time.time() - ABANDONED_S
        )
        with self.database.reading() as connection:
            for ids in batches(sorted(set(block_ids))):
                known = connection.execute(select(BLOCKS.c.id).where(BLOCKS.c.id.in_(ids), is_here))
                unknown += set(ids) - {bytes(row.id) for row in known}
        return unknown

    def _adopt(self, pool: ThreadPoolExecutor, block_ids: Sequence[bytes]) -> None:
        """Insert the rows of those blocks that the store has undamaged."""
        self._end_abandoned(block_ids)
        with self.database.reading() as connection:
            removals = epoch.read(connection, epoch.REMOVALS)
        sizes = list(pool.map(self._sound_size, block_ids))
        with self.database.writing() as connection:
            for block_id, size in zip(block_ids, sizes, strict=True):
                if size is not None:
                    self._insert_row(connection, block_id, size, removals)

    def _sound_size(self, block_id: bytes) -> int | None:
        """Return the size of a block that the store has undamaged, or None."""
        try:
            return len(self.get(block_id))
        except (BlockMissingError, BlockError):
            return None

    # -- reading ---------------------------------------------------------------------------------

    def get(self, block_id: bytes) -> bytes:
        """Return a block, checked. Raises `BlockMissingError`, `BlockError`, `StoreError`."""
        with hiding():
            data = self.store.get(block_id)
        if not self.has_hash(block_id, data):
            raise BlockError(f"block {block_id.hex()} is damaged in the store")
        return data

    @staticmethod
    def has_hash(block_id: bytes, data: bytes) -> bool:
        """Return whether these are the bytes of a block."""
        return digest(data, len(block_id)) == block_id

    def get_range(self, block_id: bytes, start: int, size: int) -> bytes:
        """Return bytes of a block, unchecked where the store can read a part of it."""
        with hiding():
            data = get_range(self.store, block_id, start, size)
        return self.get(block_id)[start : start + size] if data is None else data

    def open(self, block_id: bytes) -> Content | None:
        """Return a block to send, or None if the store has none. Raises `StoreError`."""
        name = block_id.hex()
        if isinstance(self.store, FolderStore):
            for path in (self.store.path(name), self.store.other_path(name)):
                try:
                    return self.opener.open(Path(path), f'"{name}"')
                except OSError as error:
                    if not is_absent(error):
                        raise StoreDownError from error
            return None
        try:
            return Pieces((memoryview(self.get(block_id)),), f'"{name}"')
        except BlockMissingError:
            return None

    def find(self, block_id: bytes) -> Any:
        """Return the row of a block, or None."""
        with self.database.reading() as connection:
            return connection.execute(select(BLOCKS).where(BLOCKS.c.id == block_id)).first()

    def size(self, block_id: bytes) -> int | None:
        """Return the size of a block that is there, or None.

        A folder is asked, too; a store on the network has what the database says.
        """
        row = self.find(block_id)
        is_gone = isinstance(self.store, FolderStore) and not self._has(block_id)
        return None if row is None or is_gone else int(row.size)

    def page(
        self,
        page: int,
        per_page: int,
        *,
        account_id: int | None = None,
        condition: ColumnElement[bool] | None = None,
    ) -> tuple[list[tuple[bytes, int]], int]:
        """Return ids and sizes of the blocks on a page (from 1), and how many there are in all.

        With an account, its own uploads only; with a `condition`, those that it holds for.
        """
        wanted = select(BLOCKS.c.id, BLOCKS.c.size).where(BLOCKS.c.removing_s.is_(None))
        if account_id is not None:
            mine = select(UPLOADS.c.block).where(UPLOADS.c.account_id == account_id)
            wanted = wanted.where(BLOCKS.c.id.in_(mine))
        if condition is not None:
            wanted = wanted.where(condition)
        place = wanted.order_by(BLOCKS.c.id).limit(per_page).offset((page - 1) * per_page)
        with self.database.reading() as connection:
            total = connection.execute(select(func.count()).select_from(wanted.subquery())).scalar()
            rows = [(bytes(row.id), row.size) for row in connection.execute(place)]
        return rows, total or 0

    def count_downloads(self, counts: dict[bytes, int]) -> None:
        """Add downloads to the blocks' rows, in one transaction."""
        if not counts:
            return
        with self.database.writing() as connection:
            for block_id, count in sorted(counts.items()):
                mine = BLOCKS.c.id == block_id
                more = BLOCKS.c.downloads + count
                connection.execute(update(BLOCKS).where(mine).values(downloads=more))


def lock_rows(connection: Connection, block_ids: Sequence[bytes]) -> dict[bytes, Any]:
    """Return the rows of blocks by id; nobody else changes them until the transaction ends."""
    wanted = select(BLOCKS.c.id, BLOCKS.c.size, BLOCKS.c.touched_s, BLOCKS.c.removing_s)
    wanted = wanted.where(BLOCKS.c.id.in_(block_ids)).order_by(BLOCKS.c.id).with_for_update()
    return {bytes(row.id): row for row in connection.execute(wanted)}


def touch(connection: Connection, rows: Sequence[Any]) -> None:
    """Make rows young."""
    now_s = time.time()
    old = [row.id for row in rows if now_s - row.touched_s > YOUNG_S]
    if old:
        connection.execute(update(BLOCKS).where(BLOCKS.c.id.in_(old)).values(touched_s=now_s))


def note_upload(connection: Connection, viewer: Viewer, block_id: bytes, *, is_open: bool) -> None:
    """Note that an account has uploaded a block; once open, an upload stays so here."""
    if not viewer.account_id:
        return
    values = {"block": block_id, "account_id": viewer.account_id, "is_open": is_open,
              "at_s": time.time()}  # fmt: skip
    if not insert_new(connection, UPLOADS, values) and is_open:
        mine = (UPLOADS.c.block == block_id) & (UPLOADS.c.account_id == viewer.account_id)
        connection.execute(update(UPLOADS).where(mine).values(is_open=True))


def is_absent(error: OSError) -> bool:
    """Return whether there is no file, or something that is none."""
    return error.errno in (None, *ABSENT)
