"""Reads ranges of a flist's files, chunk by chunk."""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import overload

from flist.blocks.parts import LARGE_BYTES, PART_BYTES, count_parts, find_part
from flist.errors import FormatError
from flist.format.opening import open_flist
from flist.format.sqlitefile import Check
from flist.model import (
    CHUNK_BYTES,
    Block,
    Extent,
    Inode,
    chunk_count,
    chunk_size,
    find_extent,
)
from flist.mount.tree import Tree
from flist.store.fetch import Fetcher
from flist.store.sources import Sources, open_fetcher

KEPT_BLOCKS = 40_000
"""Blocks of files whose lists of blocks are kept: 10 MB."""
WINDOW_BLOCKS = 1024
"""A file with more blocks than two windows is read window by window: 512 MiB of the file each."""
KEPT_WINDOWS = 32
KEPT_LONG_LISTS = 4096
KEPT_EXTENTS = 100_000
"""Data ranges of sparse files that are kept: 16 MB."""
KEPT_ROWS = 4_000
"""Blocks whose rows of parts are kept: 1 MB."""


class LongList(Sequence[Block]):
    """The blocks of a large file, in `rows`. Those around the last reads are kept by the reader."""

    def __init__(self, rows: range, window: Callable[[range, int], list[Block]]) -> None:
        self.rows = rows
        self.window = window

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Block: ...
    @overload
    def __getitem__(self, index: slice) -> list[Block]: ...
    def __getitem__(self, index: int | slice) -> Block | list[Block]:
        """Return one block, or some."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        first = index - index % WINDOW_BLOCKS
        return self.window(self.rows[first : first + WINDOW_BLOCKS], first)[index - first]


class Reader:
    """The bytes of a tree's files. Safe to use from several threads."""

    def __init__(
        self, tree: Tree, fetcher: Fetcher, close: Callable[[], None] = lambda: None
    ) -> None:
        self.tree = tree
        self.fetcher = fetcher
        self.close = close
        self.note: Callable[[int, int], None] | None = None  # a trace's: inode number, chunk index
        self.lists: OrderedDict[int, list[Block]] = OrderedDict()
        self.long_lists: dict[int, LongList] = {}
        self.windows: OrderedDict[int, list[Block]] = OrderedDict()  # by first row
        self.extents: OrderedDict[int, tuple[Extent, ...] | None] = OrderedDict()
        self.kept_extents = 0
        self.kept = 0
        self.rows: dict[bytes, bytes | None] = {}
        self.lock = threading.Lock()

    def blocks(self, inode: Inode) -> Sequence[Block]:
        """Return the blocks of a file; raises `FormatError` if their number is not its size's."""
        ino = inode.content_ino
        known = self.lists.get(ino)
        if known is not None:
            return known
        long = self.long_lists.get(ino)
        if long is None and chunk_count(inode.size) > 2 * WINDOW_BLOCKS:
            long = self.find_long(inode)
        if long is not None:
            return long
        blocks = self.tree.blocks(inode)
        if len(blocks) != chunk_count(inode.size):
            raise FormatError(f"inode {ino} has {len(blocks)} blocks for {inode.size} bytes")
        with self.lock:
            self.keep(ino, blocks)
        return blocks

    def find_long(self, inode: Inode) -> LongList | None:
        """Return the blocks of a large file, or None if they can only be read all at once."""
        ino = inode.content_ino
        rows = self.tree.source.block_rows(ino)
        if rows is None or len(rows) != chunk_count(inode.size):
            return None
        with self.lock:
            if len(self.long_lists) >= KEPT_LONG_LISTS:
                self.long_lists.clear()
            long = self.long_lists[ino] = LongList(rows, partial(self.load_window, ino))
        return long

    def load_window(self, ino: int, rows: range, first: int) -> list[Block]:
        """Return some blocks of a large file, from chunk `first` on; keep the last ones used."""
        with self.lock:
            known = self.windows.get(rows[0])
            if known is not None:
                self.windows.move_to_end(rows[0])
                return known
        found = self.tree.source.blocks_between(ino, rows, first)
        with self.lock:
            self.windows[rows[0]] = found
            if len(self.windows) > KEPT_WINDOWS:
                self.windows.popitem(last=False)
        return found

    def keep(self, ino: int, blocks: list[Block]) -> None:
        """Keep the blocks of a file; drop those that were loaded first if they are too many."""
        if ino in self.lists:
            return
        self.kept += len(blocks)
        self.lists[ino] = blocks
        while self.kept > KEPT_BLOCKS and len(self.lists) > 1:
            self.kept -= len(self.lists.popitem(last=False)[1])

    def find_extents(self, inode: Inode) -> tuple[Extent, ...] | None:
        """Return the data ranges of a file, or None if it is not sparse."""
        ino = inode.content_ino
        with self.lock:
            if ino not in self.extents:
                self.extents[ino] = found = self.tree.meta(inode).extents
                self.kept_extents += len(found or ()) + 1
                while self.kept_extents > KEPT_EXTENTS and len(self.extents) > 1:
                    self.kept_extents -= len(self.extents.popitem(last=False)[1] or ()) + 1
            return self.extents[ino]

    def expect(self, inode: Inode) -> None:
        """Load the blocks of a small file and of the files after it, which will be read next."""
        if inode.size <= CHUNK_BYTES and inode.content_ino not in self.lists:
            found = self.tree.small_blocks(inode)
            with self.lock:
                for ino, block in found.items():
                    self.keep(ino, [block])

    def read_now(self, inode: Inode, size: int, offset: int) -> list[memoryview] | None:
        """Return what `read` would, in pieces, or None if that needs a remote store. The pieces
        are valid until the next call. For one thread only."""
        if size <= PART_BYTES and inode.size > LARGE_BYTES:
            pieces = self.read_parts(inode, size, offset)
            if pieces is not None:
                return pieces
        return self.collect(inode, size, offset, self.fetcher.plain_now)

    def read_parts(self, inode: Inode, size: int, offset: int) -> list[memoryview] | None:
        """Return a few bytes of one chunk from the parts that hold them, or None if the chunk is
        decoded already or a part is not on this machine."""
        end = min(offset + size, inode.size)
        index = offset // CHUNK_BYTES
        start = index * CHUNK_BYTES
        if not offset < end <= start + CHUNK_BYTES:
            return None
        block = self.blocks(inode)[index]
        if self.fetcher.is_decoded(block):
            return None
        pieces = []
        for number in range((offset - start) // PART_BYTES, count_parts(end - start)):
            plain = self.read_part(block, chunk_size(inode.size, index), number)
            if plain is None:
                return None
            place = start + number * PART_BYTES
            pieces.append(memoryview(plain)[max(offset - place, 0) : end - place])
        if self.note is not None:
            self.note(inode.content_ino, index)
        return pieces

    def read_part(self, block: Block, size: int, number: int) -> bytes | None:
        """Return a part of a chunk of `size` bytes, or None if its place is not noted in the flist
        or it is not on this machine."""
        try:
            if block.id not in self.rows:
                if len(self.rows) >= KEPT_ROWS:
                    self.rows.clear()
                self.rows[block.id] = self.tree.parts(block)
            row = self.rows[block.id]
            return self.fetcher.part_now(block, find_part(row, size, number)) if row else None
        except FormatError:
            return None  # the row of parts is wrong, not the block

    def read(self, inode: Inode, size: int, offset: int) -> bytes:
        """Return `size` bytes from `offset`, fewer at the end of the file; raises `FlistError`."""
        pieces = self.collect(inode, size, offset, self.fetcher.plain)
        assert pieces is not None
        return b"".join(pieces)

    def load(self, inode: Inode, index: int) -> bytes:
        """Return a chunk for a guess: a trace must not record it."""
        return self.fetcher.plain(self.blocks(inode)[index], chunk_size(inode.size, index))

    def collect(
        self,
        inode: Inode,
        size: int,
        offset: int,
        take: Callable[[Block, int], bytes | memoryview | None],
    ) -> list[memoryview] | None:
        """Return the pieces of a range, of the chunks that `take` returns; None as soon as it
        returns None.

        Takes the last chunk first: meanwhile the decoder works on the one before it.
        """
        end = min(offset + size, inode.size)
        if offset >= end:
            return []
        blocks = self.blocks(inode)
        chunks = range(offset // CHUNK_BYTES, (end - 1) // CHUNK_BYTES + 1)
        if self.note is not None:
            for index in chunks:
                self.note(inode.content_ino, index)
        pieces = []
        for index in reversed(chunks):
            chunk = take(blocks[index], chunk_size(inode.size, index))
            if chunk is None:
                return None
            start = index * CHUNK_BYTES
            pieces.append(memoryview(chunk)[max(offset - start, 0) : end - start])
        pieces.reverse()
        return pieces

    def seek(self, inode: Inode, offset: int, *, is_data: bool) -> int | None:
        """Return where the next data (or the next hole) begins at or after `offset`, or None."""
        if not 0 <= offset < inode.size:
            return None
        extents = self.find_extents(inode)
        if extents is None:
            return offset if is_data else inode.size
        index = find_extent(extents, offset)
        if is_data:
            while index < len(extents) and not extents[index].length:
                index += 1
            return max(extents[index].start, offset) if index < len(extents) else None
        position = offset
        while index < len(extents) and extents[index].start <= position:
            position = extents[index].start + extents[index].length
            index += 1
        return min(position, inode.size)


@contextlib.contextmanager
def open_reader(meta: Path, sources: Sources, check: Check | None = None) -> Iterator[Reader]:
    """Open the flist `meta` and its stores for the block; raises `FlistError`."""
    with contextlib.closing(load_reader(meta, sources, check)) as reader:
        yield reader


def load_reader(meta: Path, sources: Sources, check: Check | None = None) -> Reader:
    """Open the flist `meta` and its stores, for the caller to close; `check` is that of
    `open_flist`. Raises `FlistError`."""
    with contextlib.ExitStack() as stack:
        flist = open_flist(meta, check)
        stack.callback(flist.close)
        fetcher = open_fetcher(flist, sources)
        stack.callback(fetcher.close)
        return Reader(Tree(flist), fetcher, stack.pop_all().close)
