"""Converts a flist of either format into one of either: each block is decoded and encoded again."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flist.blocks.codec import check_arrival, digest, encode
from flist.blocks.parts import LARGE_BYTES, encode_parts, rows_of_large_files
from flist.bulk.blocks import Progress, block_sizes
from flist.errors import FlistError
from flist.format.checker import load_tables
from flist.format.legacy.blocks import encode_legacy
from flist.format.legacy.writer import find_losses, is_legacy_name, write_legacy
from flist.format.opening import open_flist
from flist.format.tables import Tables
from flist.format.writer import check_output, write_flist
from flist.http.urls import strip_passwords
from flist.model import Block, Route
from flist.pack.workers import Worker, run_jobs
from flist.store.routed import open_routes
from flist.store.sender import Sender
from flist.store.sources import Sources, route_fetcher, wanted_routes

if TYPE_CHECKING:
    from flist.store.fetch import Fetcher


class Chunk(NamedTuple):
    """A block to convert: its plain size in bytes, and whether it belongs to a large file."""

    block: Block
    size: int
    is_large: bool


class Recoded(NamedTuple):
    """A block before and after. `row` describes its parts if it belongs to a large file."""

    old: Block
    new: Block
    row: bytes | None


class Converted(NamedTuple):
    """What a conversion did: the number of distinct blocks, and what the new format lacks."""

    blocks: int
    losses: list[str]


class Recoder(Worker[Chunk, Recoded]):
    """Fetches blocks, encodes them in the current format (or with `is_legacy` the older one), and
    stores them."""

    def __init__(
        self,
        origin: Sequence[Route],
        sources: Sources,
        routes: Sequence[Route],
        *,
        is_legacy: bool = False,
    ) -> None:
        self.is_legacy = is_legacy
        self.origin = origin
        self.sources = sources
        self.routes = routes
        self.fetcher: Fetcher | None = None
        self.target: Sender | None = None

    def open(self) -> None:
        """Open the source and the target stores."""
        self.fetcher = route_fetcher(self.origin, self.sources)
        self.target = Sender(open_routes(self.routes, check_arrival))

    def work(self, job: Chunk) -> Recoded:
        """Convert one block."""
        assert self.fetcher is not None
        assert self.target is not None
        plain = self.fetcher.load(job.block, job.size)
        row = None
        if self.is_legacy:
            block, data = encode_legacy(plain)
        elif job.is_large:
            (block, data), row = encode_parts(plain, digest(plain))
        else:
            block, data = encode(plain)
        self.target.put(block.id, data)
        return Recoded(job.block, block, row)

    def close(self) -> None:
        """Make the blocks durable and close the stores."""
        assert self.fetcher is not None
        assert self.target is not None
        self.target.flush()
        self.target.close()
        self.fetcher.close()


def convert(
    meta: Path,
    output: Path,
    sources: Sources,
    routes: Sequence[Route],
    *,
    keep_passwords: bool = False,
    processes: int = 0,
    progress: Progress | None = None,
) -> Converted:
    """Write the flist `meta` as `output`, its blocks into the stores of `routes`.

    The output is a `.fl`, or if its name ends in `.flist`, has the older format. Raises
    `FlistError`.
    """
    check_output(output)
    with open_flist(meta) as flist:
        tables = load_tables(flist)
        origin = wanted_routes(flist, sources)
    sizes = block_sizes(tables)
    recoder = Recoder(origin, sources, routes, is_legacy=is_legacy_name(output))
    new_blocks, rows = recode(make_chunks(tables, sizes), recoder, processes, progress)
    kept = routes if keep_passwords else strip_passwords(routes)
    new = replace_blocks(meta, tables, new_blocks, rows)._replace(routes=kept)
    write = write_legacy if is_legacy_name(output) else write_flist
    write(output, new)
    return Converted(len(new_blocks), find_losses(new) if is_legacy_name(output) else [])


def recode(
    chunks: Sequence[Chunk], recoder: Recoder, processes: int, progress: Progress | None
) -> tuple[dict[Block, Block], dict[bytes, bytes]]:
    """Convert blocks; return the new ones by the old, and rows of parts by the new id."""
    sizes = {chunk.block: chunk.size for chunk in chunks}
    total, done = sum(sizes.values()), 0
    new_blocks: dict[Block, Block] = {}
    rows: dict[bytes, bytes] = {}
    for old, new, row in run_jobs(chunks, recoder, processes):
        new_blocks[old] = new
        if row is not None:
            rows[new.id] = row
        done += sizes[old]
        if progress is not None:
            progress(done, total)
    return new_blocks, rows


def make_chunks(tables: Tables, sizes: dict[Block, int]) -> list[Chunk]:
    """Return the jobs of a conversion, one for each block of `sizes`."""
    large = {
        block
        for inode in tables.inodes
        if inode.size > LARGE_BYTES
        for block in tables.blocks.get(inode.ino, ())
    }
    return [Chunk(block, size, block in large) for block, size in sizes.items()]


def replace_blocks(
    meta: Path, tables: Tables, new_blocks: dict[Block, Block], rows: dict[bytes, bytes]
) -> Tables:
    """Return `tables` with each file's blocks replaced by the new ones; `rows` are by new id.

    Raises `FlistError` if a file has a block that was not converted.
    """
    try:
        blocks = {ino: [new_blocks[b] for b in blocks] for ino, blocks in tables.blocks.items()}
    except KeyError as error:
        raise FlistError(
            f"cannot convert {meta}: the number of a file's blocks does not fit its size"
        ) from error
    parts = rows_of_large_files(tables.inodes, blocks, rows)
    return tables._replace(blocks=blocks, parts=parts)
