"""The objects: whole files, of which pieces they consist, and which blocks they need."""

import time
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from flist.hub.state.batches import batches
from flist.hub.state.tables import BLOCKS, OBJECTS, PIECES, USES
from serving.database import Database, insert_new


@dataclass(frozen=True, slots=True)
class Object:
    """A whole file. `format` is fl, flist, or empty for any other file."""

    digest: str
    size: int
    format: str
    uses_bytes: int
    created_s: float


class Objects:
    """The objects of a hub."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def find(self, digest: str) -> Object | None:
        """Return an object, or None."""
        with self.database.reading() as connection:
            row = connection.execute(select(OBJECTS).where(OBJECTS.c.digest == digest)).first()
        if row is None:
            return None
        return Object(row.digest, row.size, row.format, row.uses_bytes, row.created_s)

    def pieces(self, digest: str) -> list[bytes]:
        """Return the blocks that an object consists of, in order."""
        wanted = select(PIECES.c.block).where(PIECES.c.object == digest).order_by(PIECES.c.position)
        with self.database.reading() as connection:
            return [bytes(row.block) for row in connection.execute(wanted)]

    def record(
        self,
        connection: Connection,
        digest: str,
        size: int,
        format: str,  # noqa: A002
        pieces: Sequence[bytes],
        uses: Iterable[bytes],
    ) -> None:
        """Note an object, its pieces, and the blocks that it needs beside them.

        The caller has relied on all these blocks in the same transaction.
        """
        now_s = time.time()
        values = {"digest": digest, "size": size, "format": format, "uses_bytes": 0,
                  "created_s": now_s, "touched_s": now_s}  # fmt: skip
        mine = update(OBJECTS).where(OBJECTS.c.digest == digest)
        while not insert_new(connection, OBJECTS, values):
            if connection.execute(mine.values(touched_s=now_s)).rowcount:
                add_uses(connection, digest, {*pieces, *uses})
                return
            # Garbage collection has removed the row in between.
        # A client may have named parts of a file as it liked: what was uploaded whole counts.
        for table in (PIECES, USES):
            connection.execute(delete(table).where(table.c.object == digest))
        insert_all(
            connection,
            PIECES,
            ({"object": digest, "position": at, "block": b} for at, b in enumerate(pieces)),
        )
        add_uses(connection, digest, {*pieces, *uses})


def add_uses(connection: Connection, digest: str, needed: AbstractSet[bytes]) -> None:
    """Note which blocks an object needs, whose row the caller has inserted or changed.

    It may have come before its blocks, or from somebody who could not name all of them.
    """
    blocks = select(USES.c.block).where(USES.c.object == digest)
    missing = needed - {bytes(row.block) for row in connection.execute(blocks)}
    if not missing:
        return
    insert_all(connection, USES, ({"block": b, "object": digest} for b in sorted(missing)))
    total = select(func.coalesce(func.sum(BLOCKS.c.size), 0)).where(BLOCKS.c.id.in_(blocks))
    change = update(OBJECTS).where(OBJECTS.c.digest == digest)
    connection.execute(change.values(uses_bytes=connection.execute(total).scalar()))


def insert_all(connection: Connection, table: object, rows: Iterable[dict[str, object]]) -> None:
    """Insert rows, many at a time."""
    for batch in batches(rows):
        connection.execute(insert(table), batch)  # type: ignore[arg-type]
