"""Checks everything that a flist says, and every block that it needs."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from flist.blocks.codec import decode, digest, hash_check
from flist.blocks.parts import check_parts
from flist.errors import BlockError, FlistError
from flist.format.opening import open_flist
from flist.model import Block, chunk_count, chunk_size
from flist.store.fetch import Fetcher
from flist.store.sources import Sources, open_fetcher
from flist.store.threads import thread_pool
from flist.unpack.unpack import make_plan

THREADS = 4


class Report(NamedTuple):
    """How much was checked, and what is wrong."""

    inodes: int
    blocks: int
    faults: list[str]


def verify(
    meta: Path, sources: Sources | None, progress: Callable[[int, int], None] | None = None
) -> Report:
    """Check the flist `meta`, and its blocks in `sources` unless that is None."""
    faults: list[str] = []
    sizes: dict[Block, int] = {}
    users: dict[Block, str] = {}
    with open_flist(meta) as flist:
        plan = make_plan(flist, b"")
        for item in plan.files:
            name = os.fsdecode(item.path)
            if len(item.blocks) != chunk_count(item.inode.size):
                faults.append(f"{name}: {len(item.blocks)} blocks for {item.inode.size} bytes")
                continue
            for index, block in enumerate(item.blocks):
                sizes[block] = chunk_size(item.inode.size, index)
                users.setdefault(block, name)
        if sources is not None:
            fetcher = open_fetcher(flist, sources)
            try:
                faults += check_blocks(fetcher, sizes, users, flist.parts, progress)
            finally:
                fetcher.close()
    return Report(plan.size(), len(sizes) if sources is not None else 0, faults)


def check_blocks(
    fetcher: Fetcher,
    sizes: dict[Block, int],
    users: dict[Block, str],
    parts: Callable[[bytes], bytes | None],
    progress: Callable[[int, int], None] | None,
) -> list[str]:
    """Fetch every block; return what is wrong with it, or with the row that `parts` gives."""

    def check(block: Block) -> str | None:
        try:
            data, plain = load(fetcher, block, sizes[block])
            if block.check and hash_check(data) != block.check:
                raise BlockError(f"block {block.id.hex()} has a check that is not its bytes'")
            row = parts(block.id)
            if row is not None:
                check_parts(block, row, data, plain)
        except FlistError as error:
            return f"{users[block]}: {error.message}"
        if digest(plain, len(block.key)) != block.key:
            return f"{users[block]}: block {block.id.hex()} has a key that is not its content's"
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
    """Return the encrypted and the `size` plain bytes of a block: from the store, or if we are
    offline from the cache."""
    if fetcher.store is not None:
        data = fetcher.store.get(block.id)
    else:
        cached = fetcher.load_packed_now(block)
        if cached is None:
            raise BlockError(f"block {block.id.hex()} is not in the cache, and we are offline")
        data = cached
    return data, decode(block, data, size)
