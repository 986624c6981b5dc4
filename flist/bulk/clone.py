"""Copies the blocks of a flist into other stores, byte for byte."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from flist.blocks.codec import check_arrival
from flist.bulk.blocks import Progress, for_all_blocks, load_block_sizes
from flist.format.database import FlistFile
from flist.format.edit import add_routes, replace_routes
from flist.format.opening import open_flist
from flist.format.sqlitefile import Check
from flist.format.writer import check_output
from flist.http.urls import strip_passwords
from flist.model import Block, Route
from flist.store.places import find_unsound, replace
from flist.store.routed import open_routes
from flist.store.sender import find_lacking
from flist.store.sources import Sources, open_fetcher


def clone(
    meta: Path,
    sources: Sources,
    routes: Sequence[Route],
    *,
    are_routes_kept: bool = False,
    keep_passwords: bool = False,
    is_checksum: bool = False,
    progress: Progress | None = None,
    check: Check | None = None,
) -> int:
    """Copy all blocks of `meta` into the stores of `routes`, then change the flist's routes.

    Returns the number of blocks copied; a block that a store already has is not sent, unless it is
    damaged, which is checked in folders of this machine, with `is_checksum` everywhere. The flist
    changes only after every block has been stored. `check` is that of `open_flist`.
    Raises `FlistError`.
    """
    FlistFile.open(meta).close()  # fails early for an older flist, which can't be changed
    check_output(meta)
    with closing(open_routes(routes, check_arrival)) as target:
        with open_flist(meta, check) as flist:
            sizes = load_block_sizes(flist)
            fetcher = open_fetcher(flist, sources)
        with closing(fetcher):
            ids = dict.fromkeys(block.id for block in sizes)
            lacking = find_lacking(target, ids)
            there = [block_id for block_id in ids if block_id not in lacking]
            lacking |= find_unsound(target, there, are_remote_checked=is_checksum)

            def copy(block: Block) -> None:
                data = fetcher.load_packed(block)
                for store in lacking[block.id]:
                    replace(store, block.id, data)

            for_all_blocks({b: n for b, n in sizes.items() if b.id in lacking}, copy, progress)
            target.flush()
    kept = routes if keep_passwords else strip_passwords(routes)
    (add_routes if are_routes_kept else replace_routes)(meta, kept, check)
    return len(lacking)
