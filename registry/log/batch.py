"""What one transaction appends to the log."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from registry.log.entries import PAUSE, make_leaf
from registry.log.merkle import leaf_hash, root_of
from registry.log.tiles import Edge, Tiles
from registry.state.tables import LOG_ENTRIES, LOG_HEAD

PAUSE_S = 300.0
"""After so long without a mark that a server could write, a pause is noted."""


class Batch:
    """Entries that `finish` appends. Whoever has a batch is the only one: others wait for it.

    All entries of a batch have one time, which is never before that of an earlier one.
    """

    def __init__(
        self,
        connection: Connection,
        clock: Callable[[], float] = time.time,
        edge: Edge | None = None,
    ) -> None:
        self.connection = connection
        self.clock = clock
        self.edge = edge or Edge()
        head = connection.execute(select(LOG_HEAD).with_for_update()).one()
        self.size: int = head.size
        self.alive_s: float = head.alive_s
        self.at_s: float = max(head.at_s, round(clock(), 3))
        self.rows: list[dict[str, Any]] = []

    def after_pause(self) -> "Batch":
        """Return the batch that follows the entry of a pause, if there was one, or this batch.

        The entry is written already: the batch after it may ask for pauses.
        """
        if self.at_s - self.alive_s <= PAUSE_S:
            return self
        self.add(PAUSE, 0, {"from": self.alive_s, "to": self.at_s})
        return Batch(self.connection, self.clock, self.finish())

    def mark_alive(self) -> None:
        """Mark that a server could write, though it may have had nothing to."""
        self.alive_s = max(self.alive_s, self.at_s)
        self.connection.execute(update(LOG_HEAD).values(alive_s=self.alive_s))

    def add(self, kind: str, subject: int, fields: Mapping[str, Any]) -> int:
        """Add an entry; return its position."""
        position = self.size + len(self.rows)
        leaf = make_leaf(self.at_s, kind, fields)
        named = {"position": position, "at_s": self.at_s, "kind": kind}
        self.rows.append({**named, "subject": subject, "leaf": leaf})
        return position

    def finish(self) -> Edge:
        """Write the entries, the hashes and the head; return the tree's edge."""
        if not self.rows:
            return self.edge
        tiles = Tiles(self.connection)
        if self.edge.size == self.size:  # no other server has written meanwhile
            tiles.known |= {key: list(tile) for key, tile in self.edge.tiles.items()}
        tiles.append(self.size, [leaf_hash(row["leaf"]) for row in self.rows])
        tiles.save()
        self.connection.execute(insert(LOG_ENTRIES), self.rows)
        size = self.size + len(self.rows)
        head = {"size": size, "root": root_of(tiles.read, 0, size), "at_s": self.at_s}
        alive_s = max(self.alive_s, self.at_s)
        self.connection.execute(update(LOG_HEAD).values(**head, alive_s=alive_s))
        return tiles.find_edge(size)
