"""Merges flists of both formats into one of either; blocks of the other format are converted."""

import contextlib
from collections import ChainMap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from flist.blocks.parts import rows_of_large_files
from flist.bulk.blocks import Progress, block_sizes
from flist.bulk.convert import Recoder, make_chunks, recode
from flist.errors import FlistError
from flist.format.legacy.writer import find_losses, is_legacy_name, write_legacy
from flist.format.merge import merge
from flist.format.opening import AnyFlist, open_flist
from flist.format.tables import Tables
from flist.format.writer import check_output, write_flist
from flist.http.urls import strip_passwords
from flist.model import HASH_BYTES, Block, Route
from flist.store.base import check_scheme
from flist.store.routed import parse_route
from flist.store.sources import Sources


class Merged(NamedTuple):
    """What a merge did: the numbers of entries and of converted blocks, and what the older format
    lacks."""

    inodes: int
    converted: int
    losses: list[str]


def merge_flists(
    metas: Sequence[Path],
    output: Path,
    sources: Sources,
    routes: Sequence[Route] = (),
    *,
    keep_passwords: bool = False,
    processes: int = 0,
    progress: Progress | None = None,
) -> Merged:
    """Merge the flists `metas` into `output`; the first that has a path wins, and its tags do.

    The output is a `.fl`, or if its name ends in `.flist`, has the older format. Blocks of the
    other format are fetched from `sources` and converted into the stores of `routes`; the others
    stay where they are. Raises `FlistError`.
    """
    check_output(output)
    is_legacy = is_legacy_name(output)
    with contextlib.ExitStack() as stack:
        flists = [open_flist(meta) for meta in metas]
        for flist in flists:
            stack.callback(flist.close)
        tables = merge(flists)
        kept = [
            route for flist in flists if is_older(flist) == is_legacy for route in flist.routes()
        ]
    new_blocks: dict[Block, Block] = {}
    chunks = make_chunks(tables, block_sizes(tables))
    foreign = [chunk for chunk in chunks if (len(chunk.block.id) != HASH_BYTES) != is_legacy]
    if foreign:
        if not routes:
            raise FlistError(
                f"cannot merge into {output}: {len(foreign)} blocks have the other format",
                hint="-s URL says where to put them when they are converted",
            )
        recoder = Recoder(find_origin(tables, sources), sources, routes, is_legacy=is_legacy)
        new_blocks, rows = recode(foreign, recoder, processes, progress)
        tables = replace_some(tables, new_blocks, rows)
        kept += routes if keep_passwords else strip_passwords(routes)
    tables = tables._replace(routes=list(dict.fromkeys(kept)))
    (write_legacy if is_legacy else write_flist)(output, tables)
    return Merged(len(tables.inodes), len(new_blocks), find_losses(tables) if is_legacy else [])


def is_older(flist: AnyFlist) -> bool:
    """Return whether an open flist has the older format."""
    from flist.format.legacy.flist import LegacyFlist

    return isinstance(flist, LegacyFlist)


def find_origin(tables: Tables, sources: Sources) -> list[Route]:
    """Return the routes to read from: those in `sources`, or else those of all flists."""
    if sources.is_offline:
        return []
    origin = [parse_route(text) for text in sources.stores] or list(tables.routes)
    for route in origin:
        check_scheme(route.url)
    return origin


def replace_some(
    tables: Tables, new_blocks: dict[Block, Block], rows: dict[bytes, bytes]
) -> Tables:
    """Return `tables` with some blocks replaced; `rows` describe parts, by new id."""
    blocks = {ino: [new_blocks.get(b, b) for b in old] for ino, old in tables.blocks.items()}
    known = ChainMap(rows, dict(tables.parts))
    return tables._replace(blocks=blocks, parts=rows_of_large_files(tables.inodes, blocks, known))
