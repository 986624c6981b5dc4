"""The distinct blocks of a flist, and a way to process them in several threads."""

from collections.abc import Callable

from flist.format.checker import load_tables
from flist.format.opening import AnyFlist
from flist.format.tables import Tables
from flist.model import Block, chunk_count, chunk_size
from flist.store.threads import thread_pool

THREADS = 8
Progress = Callable[[int, int], None]
"""Called with the number of plain bytes that are done and the total."""


def block_sizes(tables: Tables) -> dict[Block, int]:
    """Return every distinct block with its plain size in bytes.

    A file whose number of blocks does not fit its size is left out.
    """
    sizes: dict[Block, int] = {}
    for inode in tables.inodes:
        blocks = tables.blocks.get(inode.ino, ())
        if inode.is_file and len(blocks) == chunk_count(inode.size):
            for index, block in enumerate(blocks):
                sizes[block] = chunk_size(inode.size, index)
    return sizes


def load_block_sizes(flist: AnyFlist) -> dict[Block, int]:
    """Return `block_sizes` of an open flist."""
    return block_sizes(load_tables(flist))


def for_all_blocks(
    sizes: dict[Block, int], work: Callable[[Block], object], progress: Progress | None
) -> None:
    """Call `work` with every block, in several threads; the first error stops the rest."""
    done, total = 0, sum(sizes.values())
    with thread_pool(THREADS) as pool:
        for block, _ in zip(sizes, pool.map(work, sizes), strict=True):
            done += sizes[block]
            if progress is not None:
                progress(done, total)
