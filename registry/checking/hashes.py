"""Checks the log's hashes: every leaf, every tile, and the head."""

from collections.abc import Callable

from sqlalchemy import Connection, func, select

from registry.errors import DamagedError
from registry.log.entries import Entry
from registry.log.merkle import EMPTY, fold, leaf_hash, root_of
from registry.log.tiles import HEIGHT, WIDTH, Tiles, unpack
from registry.state.tables import LOG_ENTRIES, LOG_HEAD, LOG_TILES


class HashCheck:
    """Compares each entry with its hash, in their order."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.next = 0
        self.at_s = 0.0
        self.tile: list[bytes] = []

    def check(self, entry: Entry) -> None:
        """Raise `DamagedError` if an entry is not the next one, or not what was hashed."""
        if entry.position != self.next:
            raise DamagedError(f"the log has no entry {self.next}")
        if self.next % WIDTH == 0:
            self.tile = Tiles(self.connection).load(0, self.next // WIDTH)
        at = self.next % WIDTH
        if at >= len(self.tile):
            raise DamagedError(f"the log has no hash of entry {entry.position}")
        if entry.leaf is not None:
            self.check_leaf(entry, self.tile[at])
        if entry.at_s < self.at_s:
            raise DamagedError(f"entry {entry.position} is older than the one before")
        self.next, self.at_s = self.next + 1, entry.at_s

    def check_leaf(self, entry: Entry, wanted: bytes) -> None:
        """Raise `DamagedError` if a leaf is not what was hashed, or another than the table says."""
        if entry.leaf is None or leaf_hash(entry.leaf) != wanted:
            raise DamagedError(f"entry {entry.position} is not the one that was hashed")
        fields = entry.fields
        if (fields.get("at"), fields.get("kind")) != (entry.at_s, entry.kind):
            raise DamagedError(f"the table has another time or kind of entry {entry.position}")


def check_tree(connection: Connection, show: Callable[[str, int], None]) -> int:
    """Check all hashes above the leaves; return the log's size. Raises `DamagedError`."""
    head = connection.execute(select(LOG_HEAD)).one()
    size, level = int(head.size), 0
    counted = connection.execute(select(func.count()).select_from(LOG_ENTRIES)).scalar_one()
    if counted != size:
        raise DamagedError(f"the log's head has {size} entries, and there are {counted}")
    while size >> (HEIGHT * level):
        check_level(connection, level, size >> (HEIGHT * level), show)
        level += 1
    tiles = Tiles(connection)
    root = root_of(tiles.read, 0, size) if size else EMPTY
    if root != bytes(head.root):
        raise DamagedError("the log's head has not the root of its entries")
    return size


def check_level(
    connection: Connection, level: int, count: int, show: Callable[[str, int], None]
) -> None:
    """Check the tiles of a level against those below."""
    tiles = -(-count // WIDTH)
    for number in range(tiles):
        wanted = select(LOG_TILES.c.hashes).where(
            LOG_TILES.c.level == level, LOG_TILES.c.number == number
        )
        hashes = unpack(bytes(connection.execute(wanted).scalar() or b""))
        if len(hashes) != min(WIDTH, count - number * WIDTH):
            raise DamagedError(f"tile {number} of level {level} has not the right size")
        for at, hash_ in enumerate(hashes if level else ()):
            below = Tiles(connection).load(level - 1, number * WIDTH + at)
            if len(below) != WIDTH or fold(below) != hash_:
                raise DamagedError(f"tile {number} of level {level} has a wrong hash at {at}")
        show("tiles", number)
