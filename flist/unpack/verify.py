"""Verifies a flist: its metadata, and every block that it needs."""

from collections.abc import Callable, Container
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from flist.blocks.codec import decode, digest, hash_check
from flist.blocks.parts import check_parts
from flist.errors import BlockError, BlockMissingError, FlistError
from flist.format.checker import (
    find_block_faults,
    find_leftovers,
    find_tree_faults,
    show_path,
)
from flist.format.opening import AnyFlist, open_flist
from flist.format.sqlitefile import Check
from flist.format.tables import Tables, read_tables
from flist.model import Block, chunk_size
from flist.store.fetch import Fetcher
from flist.store.places import Places
from flist.store.sources import Sources, choose_routes, open_fetcher
from flist.store.threads import thread_pool

THREADS = 4


class Report(NamedTuple):
    """How much was verified, and the faults that were found. `lacking` blocks are right in some of
    their stores and missing in others."""

    inodes: int
    blocks: int
    faults: list[str]
    lacking: int = 0


def verify(
    meta: Path,
    sources: Sources | None,
    progress: Callable[[int, int], None] | None = None,
    check: Check | None = None,
) -> Report:
    """Verify the flist `meta`, and its blocks in `sources` unless that is None.

    `check` is that of `open_flist`. Calls `progress(done, total)` with numbers of bytes.
    Raises `FlistError` for a flist that cannot
    be read.
    """
    with open_flist(meta, check) as flist:
        faults = [f"{meta}: {text}" for text in flist.find_damage()]
        tables = read_tables(flist)
        faults += [*find_tree_faults(tables), *find_leftovers(tables)]
        wrong = dict(find_block_faults(tables))
        faults += wrong.values()
        sizes, users = find_users(tables, wrong)
        if sources is None:
            return Report(len(tables.inodes), 0, faults)
        with closing(open_copies(flist, sources)) as copies:
            faults += check_blocks(copies, sizes, users, flist.parts, progress)
            faults += copies.outages()
            return Report(len(tables.inodes), len(sizes), faults, len(copies.lacking))


def open_copies(flist: AnyFlist, sources: Sources) -> "Copies":
    """Open the stores of a flist, or offline the cache."""
    if sources.is_offline:
        return Copies(None, open_fetcher(flist, sources))
    routes = choose_routes(flist, sources.stores)
    return Copies(Places(routes, sources.wait_s, is_logged=sources.is_logged), None)


class Copies:
    """The copies of blocks, in every store or in the cache."""

    def __init__(self, places: Places | None, fetcher: Fetcher | None) -> None:
        self.places = places
        self.fetcher = fetcher
        self.lacking: set[bytes] = set()

    def load(self, block: Block) -> tuple[bytes | None, list[str]]:
        """Return the encrypted bytes of a block, and what is wrong with copies of it. There is
        neither if its stores are down."""
        if self.places is None:
            assert self.fetcher is not None
            cached = self.fetcher.load_packed_now(block)
            lack = f"block {block.id.hex()} is not in the cache, and we are offline"
            return cached, [] if cached is not None else [lack]
        if not self.places.is_covered(block.id):
            return None, [f"no route covers block {block.id.hex()}"]
        found = self.places.look(block.id)
        data = next((item.data for item in found if item.data is not None), None)
        errors = [(item.place.shown, item.error) for item in found if item.error is not None]
        if data is not None:
            wrong = [(place, e) for place, e in errors if not isinstance(e, BlockMissingError)]
            if len(wrong) < len(errors):
                self.lacking.add(block.id)
            errors = wrong
        return data, [
            error.message if place in error.message else f"{error.message} (in {place})"
            for place, error in errors
        ]

    def outages(self) -> list[str]:
        """Return a message for each store that is down."""
        return self.places.outages() if self.places is not None else []

    def close(self) -> None:
        """Close the stores."""
        for part in (self.places, self.fetcher):
            if part is not None:
                part.close()


def find_users(tables: Tables, wrong: Container[int]) -> tuple[dict[Block, int], dict[Block, str]]:
    """Return the size of every block, and the path of a file that has it; without the files whose
    numbers are in `wrong`."""
    known = {inode.ino: inode for inode in tables.inodes}
    sizes: dict[Block, int] = {}
    users: dict[Block, str] = {}
    for inode in tables.inodes:
        if not inode.is_file or inode.ino in wrong:
            continue
        path = show_path(known, inode)
        for index, block in enumerate(tables.blocks.get(inode.ino, ())):
            sizes[block] = chunk_size(inode.size, index)
            users.setdefault(block, path)
    return sizes, users


def check_blocks(
    copies: Copies,
    sizes: dict[Block, int],
    users: dict[Block, str],
    parts: Callable[[bytes], bytes | None],
    progress: Callable[[int, int], None] | None,
) -> list[str]:
    """Fetch every copy of every block; return the faults of blocks and of their rows of parts.

    `sizes` has the blocks with their plain sizes, `users` a file of each; `parts` returns a row.
    """

    def check(block: Block) -> list[str]:
        data, found = copies.load(block)
        if data is not None:
            found += check_content(block, data)
        return [f"{users[block]}: {text}" for text in found]

    def check_content(block: Block, data: bytes) -> list[str]:
        try:
            plain = decode(block, data, sizes[block])
            if block.check and hash_check(data) != block.check:
                raise BlockError(
                    f"block {block.id.hex()} has a check that does not match its bytes"
                )
            row = parts(block.id)
            if row is not None:
                check_parts(block, row, data, plain)
        except FlistError as error:
            return [error.message]
        if digest(plain, len(block.key)) != block.key:
            return [f"block {block.id.hex()} has a key that does not match its content"]
        return []

    faults: list[str] = []
    done, total = 0, sum(sizes.values())
    with thread_pool(THREADS) as pool:
        for block, found in zip(sizes, pool.map(check, sizes), strict=True):
            faults += found
            done += sizes[block]
            if progress is not None:
                progress(done, total)
    return faults
