"""Verifies a flist: its metadata, and every block that it needs."""

from collections.abc import Callable, Container
from pathlib import Path
from typing import NamedTuple

from flist.blocks.codec import decode, digest, hash_check
from flist.blocks.parts import check_parts
from flist.errors import BlockError, FlistError
from flist.format.checker import (
    find_block_faults,
    find_leftovers,
    find_tree_faults,
    show_path,
)
from flist.format.opening import open_flist
from flist.format.tables import Tables, read_tables
from flist.model import Block, chunk_size
from flist.store.fetch import Fetcher
from flist.store.sources import Sources, open_fetcher
from flist.store.threads import thread_pool

THREADS = 4


class Report(NamedTuple):
    """How much was verified, and the faults that were found."""

    inodes: int
    blocks: int
    faults: list[str]


def verify(
    meta: Path, sources: Sources | None, progress: Callable[[int, int], None] | None = None
) -> Report:
    """Verify the flist `meta`, and its blocks in `sources` unless that is None.

    Calls `progress(done, total)` with numbers of bytes. Raises `FlistError` for a flist that cannot
    be read.
    """
    with open_flist(meta) as flist:
        faults = [f"{meta}: {text}" for text in flist.find_damage()]
        tables = read_tables(flist)
        faults += [*find_tree_faults(tables), *find_leftovers(tables)]
        wrong = dict(find_block_faults(tables))
        faults += wrong.values()
        sizes, users = find_users(tables, wrong)
        if sources is not None:
            fetcher = open_fetcher(flist, sources)
            try:
                faults += check_blocks(fetcher, sizes, users, flist.parts, progress)
            finally:
                fetcher.close()
    return Report(len(tables.inodes), len(sizes) if sources is not None else 0, faults)


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
    fetcher: Fetcher,
    sizes: dict[Block, int],
    users: dict[Block, str],
    parts: Callable[[bytes], bytes | None],
    progress: Callable[[int, int], None] | None,
) -> list[str]:
    """Fetch every block; return the faults of blocks and of their rows of parts.

    `sizes` has the blocks with their plain sizes, `users` a file of each; `parts` returns a row.
    """

    def check(block: Block) -> str | None:
        try:
            data, plain = load(fetcher, block, sizes[block])
            if block.check and hash_check(data) != block.check:
                raise BlockError(
                    f"block {block.id.hex()} has a check that does not match its bytes"
                )
            row = parts(block.id)
            if row is not None:
                check_parts(block, row, data, plain)
        except FlistError as error:
            return f"{users[block]}: {error.message}"
        if digest(plain, len(block.key)) != block.key:
            return (
                f"{users[block]}: block {block.id.hex()} has a key that does not match its content"
            )
        return None

    faults = []
    done, total = 0, sum(sizes.values())
    with thread_pool(THREADS) as pool:
        for block, fault in zip(sizes, pool.map(check, sizes), strict=True):
            if fault is not None:
                faults.append(fault)
            done += sizes[block]
            if progress is not None:
                progress(done, total)
    return faults


def load(fetcher: Fetcher, block: Block, size: int) -> tuple[bytes, bytes]:
    """Return the encrypted and the `size` plain bytes of a block: from the store, or offline from
    the cache. Raises `FlistError`."""
    if fetcher.store is not None:
        data = fetcher.store.get(block.id)
    else:
        cached = fetcher.load_packed_now(block)
        if cached is None:
            raise BlockError(f"block {block.id.hex()} is not in the cache, and we are offline")
        data = cached
    return data, decode(block, data, size)
