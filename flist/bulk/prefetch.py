"""Fills the cache with the blocks of a flist."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from flist.bulk.blocks import Progress, for_all_blocks, load_block_sizes
from flist.errors import BlockError, BlockMissingError, FlistError
from flist.format.opening import open_flist
from flist.model import Block
from flist.store.fetch import Fetcher
from flist.store.sources import Sources, open_fetcher


class Prefetched(NamedTuple):
    """The result of a prefetch: numbers of blocks, and one message per block that failed. `evicted`
    blocks were fetched, but are not in the cache any more: it is too small."""

    fetched: int
    kept: int
    faults: list[str]
    evicted: int = 0


def prefetch(
    meta: Path, sources: Sources, wanted: Iterable[Block] | None, progress: Progress | None
) -> Prefetched:
    """Fetch the blocks of `meta` (all, or those `wanted`) into the cache.

    A missing or damaged block is reported, and the others are still fetched. A store that is down
    raises `StoreUnavailableError`.
    """
    if sources.cache is None:
        raise FlistError("cannot prefetch without a cache", hint="name one with -c DIR")
    with open_flist(meta) as flist:
        sizes = load_block_sizes(flist)
        fetcher = open_fetcher(flist, sources, is_local_cached=True)
    if wanted is not None:
        sizes = {block: sizes[block] for block in wanted if block in sizes}
    faults: list[str] = []

    def load(block: Block) -> None:
        try:
            fetcher.load(block, sizes[block])
        except (BlockMissingError, BlockError) as error:
            faults.append(error.message)

    with closing(fetcher):
        for_all_blocks(sizes, load, progress)
    numbers = fetcher.statistics
    evicted = sum(not is_cached(fetcher, block) for block in sizes) - len(faults)
    return Prefetched(numbers.fetched, numbers.cache_hits, sorted(faults), max(evicted, 0))


def is_cached(fetcher: Fetcher, block: Block) -> bool:
    """Return whether a block is in the cache now."""
    return fetcher.cache is not None and fetcher.cache.folder.has(block.id)
