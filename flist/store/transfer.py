"""Moves blocks about: clone, prefetch, convert from the older format, remove what nobody needs."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from flist.blocks.codec import check_arrival, digest, encode
from flist.blocks.parts import LARGE_BYTES, encode_parts, rows_of_large_files
from flist.errors import BlockError, BlockMissingError, FlistError
from flist.format.database import FlistFile
from flist.format.edit import add_routes, replace_routes
from flist.format.nodes import load_content
from flist.format.opening import AnyFlist, open_flist
from flist.format.writer import check_output, write_flist
from flist.model import Block, Route, chunk_count, chunk_size
from flist.pack.workers import Worker, run_jobs
from flist.store.fetch import Fetcher
from flist.store.routed import open_routes
from flist.store.sender import Sender, find_lacking
from flist.store.sources import Sources, open_fetcher
from flist.store.threads import thread_pool
from flist.store.urls import strip_passwords

THREADS = 8
GRACE_S = 3600.0
Progress = Callable[[int, int], None]


def block_sizes(flist: AnyFlist) -> dict[Block, int]:
    """Return every distinct block of a flist with its plain size; broken files are left out."""
    sizes: dict[Block, int] = {}
    content = load_content(flist)
    for inode in content.inodes:
        blocks = content.blocks.get(inode.ino, ())
        if inode.is_file and len(blocks) == chunk_count(inode.size):
            for index, block in enumerate(blocks):
                sizes[block] = chunk_size(inode.size, index)
    return sizes


def for_all(
    sizes: dict[Block, int], work: Callable[[Block], object], progress: Progress | None
) -> None:
    """Do `work` for every block in several threads; the first error ends it."""
    done, total = 0, sum(sizes.values())
    with thread_pool(THREADS) as pool:
        for block, _ in zip(sizes, pool.map(work, sizes), strict=True):
            done += sizes[block]
            if progress is not None:
                progress(done, total)


def clone(
    meta: Path,
    sources: Sources,
    routes: Sequence[Route],
    *,
    are_routes_kept: bool = False,
    keep_passwords: bool = False,
    progress: Progress | None = None,
) -> int:
    """Copy all blocks of `meta` into the stores of `routes`, byte for byte, then change its routes.

    Returns how many blocks were copied; what the stores have already is not sent again. The flist
    is changed only when every block is there.
    """
    FlistFile.open(meta).close()  # an older flist can't be changed: that shows before any work
    check_output(meta)
    with closing(open_routes(routes, check_arrival)) as target:
        with open_flist(meta) as flist:
            sizes = block_sizes(flist)
            fetcher = open_fetcher(flist, sources)
        with closing(fetcher):
            lacking = find_lacking(target, dict.fromkeys(block.id for block in sizes))

            def copy(block: Block) -> None:
                data = load_packed(fetcher, block.id)
                for store in lacking[block.id]:
                    store.put(block.id, data)

            for_all({b: n for b, n in sizes.items() if b.id in lacking}, copy, progress)
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


class Prefetched(NamedTuple):
    """What a prefetch did: numbers of blocks, and what is wrong with those that did not come."""

    fetched: int
    kept: int
    faults: list[str]


def prefetch(
    meta: Path, sources: Sources, wanted: Iterable[Block] | None, progress: Progress | None
) -> Prefetched:
    """Bring the blocks of `meta` (all, or those `wanted`) into the cache.

    A block that is missing or damaged does not keep the others from coming; a store that is down
    does.
    """
    if sources.cache is None:
        raise FlistError("cannot prefetch without a cache", hint="name one with -c DIR")
    with open_flist(meta) as flist:
        sizes = block_sizes(flist)
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
        for_all(sizes, load, progress)
    numbers = fetcher.statistics
    return Prefetched(numbers.fetched, numbers.cache_hits, sorted(faults))


class Chunk(NamedTuple):
    """A block of an older flist, its plain size, and whether a large file has it."""

    block: Block
    size: int
    is_large: bool


class Recoded(NamedTuple):
    """A block of an older flist, the new one, and the row of its parts, if a large file has it."""

    old: Block
    new: Block
    row: bytes | None


class Recoder(Worker[Chunk, Recoded]):
    """Fetches blocks of the older format and stores them in the new one."""

    def __init__(self, meta: Path, sources: Sources, routes: Sequence[Route]) -> None:
        self.meta = meta
        self.sources = sources
        self.routes = routes
        self.fetcher: Fetcher | None = None
        self.target: Sender | None = None

    def open(self) -> None:
        """Open the stores on both sides."""
        with open_flist(self.meta) as flist:
            self.fetcher = open_fetcher(flist, self.sources)
        self.target = Sender(open_routes(self.routes, check_arrival))

    def work(self, job: Chunk) -> Recoded:
        """Move one block."""
        assert self.fetcher is not None
        assert self.target is not None
        plain = self.fetcher.load(job.block, job.size)
        row = None
        if job.is_large:
            (block, data), row = encode_parts(plain, digest(plain))
        else:
            block, data = encode(plain)
        self.target.put(block.id, data)
        return Recoded(job.block, block, row)

    def close(self) -> None:
        """Close the stores."""
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
) -> int:
    """Write the flist `meta` (of either format) as the `.fl` `output`, blocks re-encoded.

    Returns how many blocks there are.
    """
    check_output(output)
    with open_flist(meta) as flist:
        content = load_content(flist)
        sizes = block_sizes(flist)
    large = {
        block
        for inode in content.inodes
        if inode.size > LARGE_BYTES
        for block in content.blocks.get(inode.ino, ())
    }
    chunks = [Chunk(block, size, block in large) for block, size in sizes.items()]
    moved: dict[Block, Block] = {}
    rows: dict[bytes, bytes] = {}
    done, total = 0, sum(sizes.values())
    for old, new, row in run_jobs(chunks, Recoder(meta, sources, routes), processes):
        moved[old] = new
        if row is not None:
            rows[new.id] = row
        done += sizes[old]
        if progress is not None:
            progress(done, total)
    try:
        blocks = {ino: [moved[b] for b in blocks] for ino, blocks in content.blocks.items()}
    except KeyError as error:
        raise FlistError(f"cannot convert {meta}: a file's blocks do not fit its size") from error
    parts = rows_of_large_files(content.inodes, blocks, rows)
    kept = routes if keep_passwords else strip_passwords(routes)
    write_flist(output, content._replace(blocks=blocks, routes=kept, parts=parts))
    return len(moved)


class Garbage(NamedTuple):
    """What a collection found."""

    removed: int
    removed_bytes: int
    kept: int


def collect_garbage(
    folder: Path, metas: Sequence[Path], *, grace_s: float = GRACE_S, is_dry: bool = False
) -> Garbage:
    """Remove the blocks of a `dir` store that none of `metas` needs.

    Blocks younger than `grace_s` stay, old ones on which somebody has relied since then among them:
    a pack that runs now writes its flist last. Nothing is removed unless every flist could be read,
    and nothing that stands where no block does.
    """
    if not folder.is_dir():
        raise FlistError(f"cannot collect in {folder}: it is not a directory")
    if not metas:
        raise FlistError("cannot tell what is needed: no flist is named")
    needed: set[str] = set()
    for meta in metas:
        with open_flist(meta) as flist:
            needed.update(block.id.hex() for _, block in flist.all_blocks())
    limit = time.time() - grace_s
    removed = size = kept = 0
    for path in sorted(block_files(folder)):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # removed by somebody else
        if path.name in needed or status.st_mtime > limit:
            kept += 1
            continue
        removed, size = removed + 1, size + status.st_size
        if not is_dry:
            path.unlink(missing_ok=True)
    return Garbage(removed, size, kept)


def block_files(folder: Path) -> Iterator[Path]:
    """Give the blocks of a `dir` store, of both layouts."""
    for path in folder.iterdir():
        if len(path.name) == 2 and path.is_dir() and not path.is_symlink():
            yield from (p for p in path.iterdir() if p.name.startswith(path.name) and is_block(p))
        elif is_block(path):
            yield path


def is_block(path: Path) -> bool:
    """Whether this is a file with the name of a block."""
    return is_block_name(path.name) and path.is_file() and not path.is_symlink()


def is_block_name(name: str) -> bool:
    """Whether a file is a block of either format."""
    return len(name) in (32, 64) and not name.strip("0123456789abcdef")
