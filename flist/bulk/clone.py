"""Copies the blocks of a flist into other stores, byte for byte."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from flist.blocks.codec import check_arrival
from flist.bulk.blocks import Progress, for_all_blocks, load_block_sizes
from flist.errors import BlockError
from flist.format.database import FlistFile
from flist.format.edit import add_routes, replace_routes
from flist.format.opening import open_flist
from flist.format.writer import check_output
from flist.model import Block, Route
from flist.store.fetch import Fetcher
from flist.store.routed import open_routes
from flist.store.sender import find_lacking
from flist.store.sources import Sources, open_fetcher
from flist.store.urls import strip_passwords


def clone(
    meta: Path,
    sources: Sources,
    routes: Sequence[Route],
    *,
    are_routes_kept: bool = False,
    keep_passwords: bool = False,
    progress: Progress | None = None,
) -> int:
    """Copy all blocks of `meta` into the stores of `routes`, then change the flist's routes.

    Returns the number of blocks copied; a block that a store already has is not sent. The flist
    changes only after every block has been stored. Raises `FlistError`.
    """
    FlistFile.open(meta).close()  # fails early for an older flist, which can't be changed
    check_output(meta)
    with closing(open_routes(routes, check_arrival)) as target:
        with open_flist(meta) as flist:
            sizes = load_block_sizes(flist)
            fetcher = open_fetcher(flist, sources)
        with closing(fetcher):
            lacking = find_lacking(target, dict.fromkeys(block.id for block in sizes))

            def copy(block: Block) -> None:
                data = load_packed(fetcher, block.id)
                for store in lacking[block.id]:
                    store.put(block.id, data)

            for_all_blocks({b: n for b, n in sizes.items() if b.id in lacking}, copy, progress)
            target.flush()
    kept = routes if keep_passwords else strip_passwords(routes)
    (add_routes if are_routes_kept else replace_routes)(meta, kept)
    return len(lacking)


def load_packed(fetcher: Fetcher, block_id: bytes) -> bytes:
    """Return the encrypted bytes of a block, its id checked, from the cache or else the store."""
    cache = fetcher.cache
    data = cache.get(block_id) if cache is not None else None
    if cache is not None and data is not None:
        try:
            check_arrival(block_id, data)
        except BlockError:
            cache.remove(block_id)
        else:
            return data
    if fetcher.store is None:
        raise BlockError(f"block {block_id.hex()} is not in the cache, and we are offline")
    data = fetcher.store.get(block_id)
    if cache is not None:
        cache.put(block_id, data)
    return data
