"""The list of all blocks, page by page, without reading every folder for each request."""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from fastapi import HTTPException

from flist.hub.library import BLOCK

PER_PAGE = 50
MAX_PER_PAGE = 100
MAX_PAGE = 1 << 32
ID_BYTES = 32
SETTLED_S = 2.0
"""A folder that changed so shortly before it was read may change again within the same tick of
the file system's clock."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The blocks in one folder, as sorted ids one after the other."""

    changed_ns: int
    read_ns: int
    ids: bytes

    @property
    def count(self) -> int:
        """Return how many blocks these are."""
        return len(self.ids) // ID_BYTES

    def name(self, index: int) -> str:
        """Return the name of one block."""
        return self.ids[index * ID_BYTES : (index + 1) * ID_BYTES].hex()

    def is_current(self, changed_ns: int) -> bool:
        """Return whether the folder, which was changed then, still holds just these blocks."""
        is_settled = self.read_ns - self.changed_ns > SETTLED_S * 1e9
        return self.changed_ns == changed_ns and is_settled


class BlockList:
    """The names of the blocks below `root`; a folder is read again when it has changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shards: dict[str, Shard] = {}
        self.lock = threading.Lock()

    def page(self, page: int, per_page: int) -> tuple[list[str], int]:
        """Return the names on page `page` (from 1), and how many blocks there are."""
        start = (page - 1) * per_page
        stop = start + per_page
        names: list[str] = []
        seen = 0
        for shard in self.read():
            wanted = range(max(start - seen, 0), min(stop - seen, shard.count))
            names += [shard.name(index) for index in wanted]
            seen += shard.count
        return names, seen

    def read(self) -> list[Shard]:
        """Return the blocks of the root (a flat store) and of each folder, in order."""
        with self.lock:  # many requests at once read each folder once
            folders = {"": self.root, **self.folders()}
            found = {name: self.read_shard(name, path) for name, path in folders.items()}
            self.shards = {name: shard for name, shard in found.items() if shard is not None}
            return [self.shards[name] for name in sorted(self.shards)]

    def folders(self) -> dict[str, Path]:
        """Return the folders that hold blocks."""
        names = (f"{number:02x}" for number in range(256))
        return {name: self.root / name for name in names}

    def read_shard(self, name: str, path: Path) -> Shard | None:
        """Return the blocks in one folder; None if it does not exist."""
        try:
            changed_ns = path.stat().st_mtime_ns
            known = self.shards.get(name)
            if known is not None and known.is_current(changed_ns):
                return known
            read_ns = time.time_ns()
            with os.scandir(path) as entries:
                names = [entry.name for entry in entries if BLOCK.fullmatch(entry.name)]
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Shard(changed_ns, read_ns, bytes.fromhex("".join(sorted(names))))


def parse_page(page: str, per_page: str) -> tuple[int, int]:
    """Return page and rows per page from a query; answers 400, as upstream's server."""
    numbers = [text for text in (page, per_page) if text.isascii() and text.isdigit()]
    if len(numbers) < 2 or max(map(len, numbers)) > 10:
        raise HTTPException(400, "page and per_page are whole numbers from 1")
    wanted, rows = map(int, numbers)
    if not 1 <= wanted <= MAX_PAGE or rows < 1:
        raise HTTPException(400, "page and per_page are whole numbers from 1")
    return wanted, min(rows, MAX_PER_PAGE)
