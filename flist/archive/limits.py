"""Limits for what an archive, or all layers of an image together, may hold."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from flist.archive.errors import ArchiveError
from flist.archive.stream import Watched
from flist.archive.tar import Entry

EXTENT_COST_BYTES = 100
RATIO_FREE_BYTES = 256 << 20
"""An archive may unpack to this, however small it is."""


class Limits(NamedTuple):
    """The limits. `ratio` is that of the unpacked to the packed bytes of an archive."""

    size_bytes: int = 64 << 30
    entries: int = 2_000_000
    names_bytes: int = 512 << 20
    """Of names, link targets and attributes, which are kept in memory."""
    ratio: int = 200


class Budget:
    """Counts entries; raises `ArchiveError` when `what` exceeds its limits."""

    def __init__(self, limits: Limits, what: str) -> None:
        self.limits = limits
        self.what = what
        self.size_bytes = self.entries = self.names_bytes = 0

    def charge(self, entry: Entry) -> None:
        """Count one entry."""
        self.size_bytes += entry.size
        self.names_bytes += len(entry.name) + len(entry.target)
        self.names_bytes += sum(len(name) + len(value) for name, value in entry.xattrs)
        self.names_bytes += EXTENT_COST_BYTES * len(entry.extents or ())
        if self.size_bytes > self.limits.size_bytes:
            raise ArchiveError(
                f"the {self.what} is refused: its files have more than"
                f" {self.limits.size_bytes} bytes",
                hint="--max-size BYTES raises the limit",
            )
        self.charge_names(1)

    def charge_names(self, count: int) -> None:
        """Count names: of entries, and of directories that only their paths imply."""
        self.entries += count
        if self.entries > self.limits.entries or self.names_bytes > self.limits.names_bytes:
            raise ArchiveError(f"the {self.what} is refused: it holds too many or too long names")


def check_ratio(pieces: Iterable[bytes], packed: Watched, ratio: int) -> Iterator[bytes]:
    """Pass on unpacked pieces; raises `ArchiveError` when they are far more than was read."""
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > RATIO_FREE_BYTES and total > ratio * packed.count:
            raise ArchiveError(
                f"the archive is refused: {packed.count} bytes of it unpack to more than {total}"
            )
        yield piece
