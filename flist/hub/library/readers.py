"""Who may read what: repositories, and blocks.

A block is open to everybody if somebody has uploaded it for everybody, or if a version in a public
repository needs it. Else it may be read by who has uploaded it, and by who may read a private
repository with a version that needs it.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable

from sqlalchemy import ColumnElement, Exists, and_, exists, or_, select, true

from flist.hub.library.values import Repository
from flist.hub.state import epoch
from flist.hub.state.batches import batches
from flist.hub.state.tables import BLOCKS, FILES, PIECES, REPOSITORIES, UPLOADS, USES, VERSIONS
from flist.hub.state.viewer import ADMIN, READ, Viewer
from serving.database import Database

POLL_S = 1.0
KEPT = 1 << 18
"""So many open blocks are remembered: about 30 MB."""


class Readers:
    """Answers who may read what; remembers which blocks are open for one epoch."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.lock = threading.Lock()
        self.open_ids: OrderedDict[bytes, None] = OrderedDict()
        self.epoch = -1
        self.polled = 0.0

    def may_read(self, viewer: Viewer, repository: Repository) -> bool:
        """Return whether the viewer may read a repository."""
        if not repository.is_private:
            return True
        if not reads_private(viewer, repository.name):
            return False
        owners = {viewer.account_id, *viewer.group_ids}
        return repository.owner_id in owners or (viewer.is_admin and ADMIN in viewer.scopes)

    def is_open(self, block_id: bytes) -> bool:
        """Return whether everybody may read a block."""
        self.poll()
        with self.lock:
            if block_id in self.open_ids:
                self.open_ids.move_to_end(block_id)
                return True
        with self.database.reading() as connection:
            at = epoch.read(connection)
            is_open = bool(connection.execute(select(is_block_open(block_id))).scalar())
        if is_open:
            self.remember(block_id, at)
        return is_open

    def is_known_open(self, block_id: bytes) -> bool:
        """Return whether a block is known to be open, without asking the database.

        Once a second somebody has to ask it, who then looks for a new epoch.
        """
        return time.monotonic() - self.polled < POLL_S and block_id in self.open_ids

    def remember(self, block_id: bytes, at: int) -> None:
        """Remember an open block, if this is still the epoch in which it was found to be so."""
        with self.lock:
            if at == self.epoch:
                self.open_ids[block_id] = None
                if len(self.open_ids) > KEPT:
                    self.open_ids.popitem(last=False)

    def may_read_block(self, viewer: Viewer, block_id: bytes) -> bool:
        """Return whether the viewer may read a block."""
        if self.is_open(block_id):
            return True
        if not viewer.is_known or READ not in viewer.scopes:
            return False
        with self.database.reading() as connection:
            return bool(connection.execute(select(is_own(block_id, viewer))).scalar())

    def claimable(self, viewer: Viewer, block_ids: Iterable[bytes]) -> set[bytes]:
        """Return the blocks that are there and that the viewer's own flists and files may name.

        Who names a block lets others read it. So the viewer must be able to read it, or nobody
        has a claim to it yet: it was packed into the store itself.
        """
        found: set[bytes] = set()
        condition = or_(is_block_open(BLOCKS.c.id), is_own(BLOCKS.c.id, viewer), IS_UNCLAIMED)
        with self.database.reading() as connection:
            for ids in batches(sorted(set(block_ids))):
                wanted = select(BLOCKS.c.id).where(BLOCKS.c.id.in_(ids), condition)
                found.update(bytes(row.id) for row in connection.execute(wanted))
        return found

    def poll(self) -> None:
        """Look for a new epoch, at most once a second."""
        now = time.monotonic()
        if now - self.polled >= POLL_S:
            self.polled = now
            self.refresh()

    def refresh(self) -> None:
        """Forget what was remembered if there is a new epoch. Call it after own changes."""
        with self.database.reading() as connection:
            current = epoch.read(connection)
        with self.lock:
            if current != self.epoch:
                self.epoch = current
                self.open_ids.clear()


def is_closable() -> ColumnElement[bool]:
    """Return the condition that an open upload is of a block that no uploaded file and no public
    flist needs."""
    kept = exists().where(PIECES.c.block == UPLOADS.c.block, FILES.c.object == PIECES.c.object)
    is_public = version_uses(UPLOADS.c.block).where(REPOSITORIES.c.is_private.is_(False))
    return and_(UPLOADS.c.is_open, ~kept, ~is_public)


def reads_private(viewer: Viewer, name: str) -> bool:
    """Return whether the viewer's token is for reading private repositories, and this one."""
    return READ in viewer.scopes and viewer.repository in (None, name)


def readable(viewer: Viewer) -> ColumnElement[bool]:
    """Return the condition that the viewer may read a row of `repositories`."""
    is_public = REPOSITORIES.c.is_private.is_(False)
    if not viewer.is_known or READ not in viewer.scopes:
        return is_public
    is_named = true() if viewer.repository is None else REPOSITORIES.c.name == viewer.repository
    if viewer.is_admin and ADMIN in viewer.scopes:
        return or_(is_public, is_named)
    owners = [viewer.account_id, *viewer.group_ids]
    return or_(is_public, and_(is_named, REPOSITORIES.c.owner_id.in_(owners)))


def version_uses(block: object) -> Exists:
    """Return the condition that a version needs the block; a condition on its row of
    `repositories` can be added."""
    return exists().where(
        USES.c.block == block,
        VERSIONS.c.object == USES.c.object,
        REPOSITORIES.c.id == VERSIONS.c.repository_id,
    )


def is_own(block: object, viewer: Viewer) -> ColumnElement[bool]:
    """Return the condition that a viewer with a token may read a block that is not open."""
    used = version_uses(block).where(readable(viewer))
    if viewer.repository is not None:
        return used
    own = exists().where(UPLOADS.c.block == block, UPLOADS.c.account_id == viewer.account_id)
    return or_(own, used)


def is_readable(block: object, viewer: Viewer) -> ColumnElement[bool]:
    """Return the condition that the viewer may read a block."""
    if not viewer.is_known or READ not in viewer.scopes:
        return is_block_open(block)
    return or_(is_block_open(block), is_own(block, viewer))


def is_block_open(block: object) -> ColumnElement[bool]:
    """Return the condition that everybody may read a block, an id or a column."""
    uploaded = exists().where(UPLOADS.c.block == block, UPLOADS.c.is_open)
    return or_(uploaded, version_uses(block).where(REPOSITORIES.c.is_private.is_(False)))


IS_UNCLAIMED = and_(
    ~exists().where(UPLOADS.c.block == BLOCKS.c.id),
    ~exists().where(USES.c.block == BLOCKS.c.id),
    ~exists().where(PIECES.c.block == BLOCKS.c.id),
)
