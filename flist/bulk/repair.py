"""Mends the stores of a flist: puts the right bytes of blocks where they are damaged or missing."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from flist.bulk.blocks import Progress, for_all_blocks, load_block_sizes
from flist.errors import BlockError, FlistError
from flist.format.opening import open_flist
from flist.format.sqlitefile import Check
from flist.model import Block, Route
from flist.store.fetch import Fetcher
from flist.store.places import Found, Places, replace
from flist.store.sources import Sources, choose_routes, open_fetcher


class Repaired(NamedTuple):
    """The result: how many blocks there are and how many copies were mended, and what could not be
    checked or mended."""

    blocks: int
    mended: int
    faults: list[str]


def repair(
    meta: Path,
    sources: Sources,
    routes: Sequence[Route],
    progress: Progress | None = None,
    check: Check | None = None,
) -> Repaired:
    """Check every block of `meta` in each store of `routes` (or of the flist), and mend it there.

    The right bytes come from another of these stores, or else from `sources`. `check` is that of
    `open_flist`. Raises `FlistError`
    for a flist that can't be read.
    """
    faults: list[str] = []
    mended: list[bytes] = []
    with open_flist(meta, check) as flist:
        sizes = load_block_sizes(flist)
        targets = routes or choose_routes(flist, ())
        places = Places(targets, sources.wait_s, is_logged=sources.is_logged)
        fetcher = open_fetcher(flist, sources)

    def mend(block: Block) -> None:
        found = places.look(block.id)
        wrong = [item for item in found if item.data is None]
        if not wrong:
            return
        try:
            data = find_right(block, found, fetcher)
        except FlistError as error:
            faults.append(f"cannot mend block {block.id.hex()}: {error.message}")
            return
        for item in wrong:
            try:
                replace(item.place.store, block.id, data)
            except FlistError as error:
                faults.append(error.message)
            else:
                mended.append(block.id)

    with closing(places), closing(fetcher):
        for_all_blocks(sizes, mend, progress)
        places.flush()
    return Repaired(len(sizes), len(mended), places.outages() + sorted(set(faults)))


def find_right(block: Block, found: Sequence[Found], fetcher: Fetcher) -> bytes:
    """Return the right bytes of a block; raises `FlistError`."""
    for item in found:
        if item.data is not None:
            return item.data
    if fetcher.store is None:
        data = fetcher.load_packed_now(block)
        if data is None:
            raise BlockError("it is not in the cache, and we are offline")
        return data
    return fetcher.load_packed(block)
