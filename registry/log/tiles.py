"""The tree's hashes in the database: tiles of 256, as C2SP's tlog-tiles has them.

Tile `number` of level 0 has the hashes of leaves 256 * number and following; one of level n + 1 has
the roots of 256 complete tiles of level n. An append changes the last tile of each level, a proof
reads one or two of each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from registry.errors import DamagedError
from registry.log.merkle import HASH_BYTES, fold
from registry.state.tables import LOG_TILES

HEIGHT = 8
WIDTH = 1 << HEIGHT


@dataclass(frozen=True, slots=True)
class Edge:
    """The last tile of each level of a tree of `size` leaves: what the next append needs."""

    size: int = -1
    tiles: Mapping[tuple[int, int], list[bytes]] = field(default_factory=dict)


class Tiles:
    """The tiles as one transaction sees them; `save` writes those that were changed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.known: dict[tuple[int, int], list[bytes]] = {}
        self.changed: set[tuple[int, int]] = set()

    def read(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree. Raises `DamagedError`."""
        height, below = divmod(level, HEIGHT)
        first = index << below
        tile = self.load(height, first >> HEIGHT)
        start = first & (WIDTH - 1)
        hashes = tile[start : start + (1 << below)]
        if len(hashes) != 1 << below:
            raise DamagedError(f"the log lacks hashes: tile {first >> HEIGHT} of level {height}")
        return fold(hashes)

    def append(self, size: int, hashes: Sequence[bytes]) -> None:
        """Add the hashes of leaves to a tree of `size` leaves."""
        level, at, new = 0, size, list(hashes)
        while new:
            complete: list[bytes] = []
            first = at >> HEIGHT
            for hash_ in new:
                tile = self.last(level, at)
                tile.append(hash_)
                at += 1
                if len(tile) == WIDTH:
                    complete.append(fold(tile))
            level, at, new = level + 1, first, complete

    def last(self, level: int, at: int) -> list[bytes]:
        """Return the tile that gets hash number `at` of a level, and will be changed."""
        key = (level, at >> HEIGHT)
        self.changed.add(key)
        if at & (WIDTH - 1) == 0 and key not in self.known:
            self.known[key] = []
        tile = self.load(*key)
        if len(tile) != at & (WIDTH - 1):
            raise DamagedError(f"the log's tile {key[1]} of level {level} has not the right size")
        return tile

    def load(self, level: int, number: int) -> list[bytes]:
        """Return the hashes of a tile; an absent one has none."""
        key = (level, number)
        if key not in self.known:
            row = self.connection.execute(
                select(LOG_TILES.c.hashes).where(
                    LOG_TILES.c.level == level, LOG_TILES.c.number == number
                )
            ).first()
            self.known[key] = unpack(row.hashes) if row else []
        return self.known[key]

    def find_edge(self, size: int) -> Edge:
        """Return the last tiles, as far as they are known; those of others may change."""
        last = {key: self.known.get(key) for key in edge_of(size)}
        return Edge(size, {key: list(tile) for key, tile in last.items() if tile is not None})

    def save(self) -> None:
        """Write the changed tiles."""
        rows = [
            {"level": level, "number": number, "hashes": b"".join(self.known[level, number])}
            for level, number in sorted(self.changed)
        ]
        if rows:
            self.connection.execute(upsert(self.connection), rows)
        self.changed.clear()


def edge_of(size: int) -> list[tuple[int, int]]:
    """Return level and number of the last tile of each level."""
    keys, level = [], 0
    while size:
        keys.append((level, (size - 1) >> HEIGHT))
        size, level = size >> HEIGHT, level + 1
    return keys


def unpack(data: bytes) -> list[bytes]:
    """Return the hashes of a tile's bytes."""
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def upsert(connection: Connection) -> Any:
    """Return the statement that writes a tile, whether it is there or not."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(LOG_TILES)
    return statement.on_conflict_do_update(
        index_elements=["level", "number"], set_={"hashes": statement.excluded.hashes}
    )
