"""How much an account keeps: the blocks that it has uploaded, and those that its repositories need.

A block counts once for an account, whoever else keeps it, too. To ask for every block would be
slow, so a server remembers the sum for a time, and adds what it has taken meanwhile.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select, union

from flist.hub.errors import TooLargeError
from flist.hub.state.batches import batches
from flist.hub.state.tables import ACCOUNTS, BLOCKS, REPOSITORIES, UPLOADS, USES, VERSIONS
from flist.hub.state.viewer import Viewer
from serving.database import Database

KNOWN_S = 30.0
COST = 50
"""The sum is known for at least so many times what it took to find it out."""


@dataclass
class Known:
    """What is known of one account."""

    used: int
    limit: int
    until: float


class Quotas:
    """Checks that accounts keep no more than they may."""

    def __init__(self, database: Database, default_bytes: int) -> None:
        self.database = database
        self.default_bytes = default_bytes
        self.known: dict[int, Known] = {}
        self.lock = threading.Lock()

    def demand_upload(self, viewer: Viewer, block_id: bytes, size: int) -> None:
        """Count a block that an account uploads, if it keeps it not yet. Raises `TooLargeError`."""
        if not viewer.account_id or not self.find(viewer.account_id).limit:
            return
        with self.database.reading() as connection:
            kept = select(is_kept(block_id, viewer.account_id))
            is_known = connection.execute(kept).scalar()
        if not is_known:
            self.demand(viewer.account_id, viewer.name, size)

    def demand_version(self, account_id: int, name: str, block_ids: Iterable[bytes]) -> None:
        """Count the blocks of a version that its repository's owner keeps not yet. Raises
        `TooLargeError`."""
        if not self.find(account_id).limit:
            return
        total = 0
        with self.database.reading() as connection:
            for ids in batches(sorted(set(block_ids))):
                these = and_(BLOCKS.c.id.in_(ids), ~is_kept(BLOCKS.c.id, account_id))
                sizes = select(func.coalesce(func.sum(BLOCKS.c.size), 0)).where(these)
                total += int(connection.execute(sizes).scalar() or 0)
        self.demand(account_id, name, total)

    def demand(self, account_id: int, name: str, size: int) -> None:
        """Count `size` more bytes for an account, or raise `TooLargeError`."""
        found = self.find(account_id)
        with self.lock:
            if found.limit and found.used + size > found.limit:
                raise TooLargeError(
                    f"the account {name} keeps {found.used} bytes, and may keep {found.limit}: "
                    f"no room for {size} more",
                    hint="remove flists; their blocks count until the next garbage collection",
                )
            found.used += size

    def find(self, account_id: int) -> Known:
        """Return what is known of an account; it is asked for again when that is old."""
        with self.lock:
            found = self.known.get(account_id)
        began = time.monotonic()
        if found is not None and began < found.until:
            return found
        with self.database.reading() as connection:
            limit = limit_of(connection, account_id, self.default_bytes)
            used = used_bytes(connection, account_id) if limit else 0
        took_s = time.monotonic() - began
        found = Known(used, limit, began + max(KNOWN_S, COST * took_s))
        with self.lock:
            self.known[account_id] = found
        return found

    def forget(self) -> None:
        """Ask again for all sums: something was removed, or a quota has changed."""
        with self.lock:
            self.known.clear()


def is_kept(block: object, account_id: int) -> ColumnElement[bool]:
    """Return the condition that an account keeps a block, an id or a column, already."""
    uploaded = exists().where(UPLOADS.c.block == block, UPLOADS.c.account_id == account_id)
    needed = exists().where(
        USES.c.block == block,
        VERSIONS.c.object == USES.c.object,
        REPOSITORIES.c.id == VERSIONS.c.repository_id,
        REPOSITORIES.c.owner_id == account_id,
    )
    return or_(uploaded, needed)


def limit_of(connection: Connection, account_id: int, default_bytes: int) -> int:
    """Return how many bytes an account may keep; 0 is no limit."""
    wanted = select(ACCOUNTS.c.quota_bytes).where(ACCOUNTS.c.id == account_id)
    own = connection.execute(wanted).scalar()
    return default_bytes if own is None else own


def used_bytes(connection: Connection, account_id: int) -> int:
    """Return how many bytes an account keeps."""
    uploaded = select(UPLOADS.c.block).where(UPLOADS.c.account_id == account_id)
    needed = (
        select(USES.c.block)
        .join(VERSIONS, VERSIONS.c.object == USES.c.object)
        .join(REPOSITORIES, REPOSITORIES.c.id == VERSIONS.c.repository_id)
        .where(REPOSITORIES.c.owner_id == account_id)
    )
    ids = union(uploaded, needed)
    total = select(func.coalesce(func.sum(BLOCKS.c.size), 0)).where(BLOCKS.c.id.in_(ids))
    return int(connection.execute(total).scalar() or 0)
