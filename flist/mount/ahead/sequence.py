"""Notices sequential reads, and has the next chunks decoded ahead.

`tar`, `cp -r`, `grep -r` and the like walk a tree depth first in the order of its listings; a large
file is read from start to end. Then the next chunks are known. One walk is followed at a time.
"""

import contextlib
import stat
from collections.abc import Iterable, Iterator
from itertools import islice

from common.processors import cpu_count
from flist.blocks.decoder import MAX_JOBS, REGION_BYTES, Decoder, start_decoder
from flist.model import CHUNK_BYTES, ROOT_INO, Block, Inode, chunk_count, chunk_size
from flist.mount.reader import Reader
from flist.mount.tree import Tree

FIRST_BYTES = 256 * 1024
MOST_BYTES = REGION_BYTES - CHUNK_BYTES
"""A full batch has at least so many bytes, and at most a chunk more."""
PATIENCE = 8
"""Reads out of order before another walk is followed."""
LOOK_AHEAD = 256
"""Chunks and directories that are looked at for one batch."""
WHOLE_BYTES = 1 << 30
"""A larger file has so many blocks that they are looked up only when it is read."""
MAX_DEPTH = 4096
Chunk = tuple[Inode, int]


class Sequence:
    """Follows one walk; for one thread only."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        self.reader: Reader | None = None
        self.coming: Iterator[Chunk | None] = iter(())
        self.batch_bytes = FIRST_BYTES
        self.strays = PATIENCE
        self.last: tuple[Reader | None, Inode | None, int] = (None, None, 0)

    def note(self, reader: Reader, inode: Inode, offset: int, size: int) -> None:
        """Note a read that is about to be answered."""
        end = min(offset + size, inode.size)
        blocks, slots = reader.blocks(inode), self.decoder.slots
        first = slots.get(blocks[offset // CHUNK_BYTES])
        if first is not None:
            self.strays = 0
            self.decoder.reach(first, slots.get(blocks[(end - 1) // CHUNK_BYTES], first))
        elif self.is_free() and self.follows(reader, inode, offset):
            self.begin(reader, inode, end)
        else:
            self.strays += 1
        self.last = (reader, inode, end)
        if self.strays < PATIENCE and self.decoder.ahead_bytes < 2 * self.batch_bytes:
            self.refill()

    def is_free(self) -> bool:
        """Return whether the last walk has ended or was left."""
        return self.strays >= PATIENCE or not self.decoder.ahead_bytes

    def follows(self, reader: Reader, inode: Inode, offset: int) -> bool:
        """Return whether a read continues the last one, or begins a later file in its directory."""
        last_reader, last, end = self.last
        if last is None or last_reader is not reader:
            return False
        if last.ino == inode.ino:
            return offset == end
        is_later = last.parent == inode.parent and last.ino < inode.ino
        return is_later and offset == 0 and end == last.size

    def begin(self, reader: Reader, inode: Inode, end: int) -> None:
        """Follow a walk from here on."""
        self.reader = reader
        reader.fetcher.decoder = self.decoder
        self.coming = upcoming(reader.tree, inode, -(-end // CHUNK_BYTES))
        self.batch_bytes = FIRST_BYTES
        self.strays = 0
        self.decoder.skip()

    def refill(self) -> None:
        """Send batches until enough is under way. That grows with each read of the walk."""
        while self.decoder.ahead_bytes < 2 * self.batch_bytes and self.decoder.has_room():
            batch = self.next_batch()
            if not batch:
                break
            self.decoder.send(batch)
        self.batch_bytes = min(2 * self.batch_bytes, MOST_BYTES)

    def next_batch(self) -> dict[Block, int]:
        """Return the next blocks of the walk, with their plain sizes."""
        batch: dict[Block, int] = {}
        left = self.batch_bytes
        assert self.reader is not None
        lists, slots = self.reader.lists, self.decoder.slots
        with contextlib.suppress(Exception):  # a guess must not make a read fail
            for chunk in islice(self.coming, LOOK_AHEAD):
                if chunk is None:
                    continue
                inode, number = chunk
                if inode.ino not in lists:
                    self.reader.expect(inode)
                block = (lists.get(inode.ino) or self.reader.blocks(inode))[number]
                if block not in slots and block not in batch:
                    batch[block] = size = chunk_size(inode.size, number)
                    left -= size
                    if left <= 0 or len(batch) == MAX_JOBS:
                        break
        return batch


@contextlib.contextmanager
def start_sequence(reader: Reader) -> Iterator[Sequence | None]:
    """Give a sequence whose decoder runs for the block; None where that would gain nothing: with
    one processor, or with a remote store and no cache."""
    fetcher = reader.fetcher
    if cpu_count() == 1 or (fetcher.cache is None and not fetcher.is_local):
        yield None
        return
    with start_decoder(fetcher.load_packed_now, fetcher.note_decoded) as decoder:
        yield Sequence(decoder)


def upcoming(tree: Tree, inode: Inode, number: int) -> Iterator[Chunk | None]:
    """Yield the chunks that a depth-first walk of the whole tree reads from chunk `number` of
    `inode` on, and None for each directory that it enters."""
    for index in range(number, chunk_count(inode.size)):
        yield inode, index
    for _ in range(MAX_DEPTH):
        yield from below(tree, tree.following(inode.parent, inode.ino))
        inode = tree.inode(inode.parent)
        if inode.ino == ROOT_INO:
            return


def below(tree: Tree, entries: Iterable[Inode]) -> Iterator[Chunk | None]:
    """Yield the chunks of `entries` and of everything in them. This loop runs once per chunk."""
    stack = [iter(entries)]
    while stack:
        for entry in stack[-1]:
            if stat.S_ISREG(entry.mode):
                if entry.size <= WHOLE_BYTES and not entry.same_as:
                    for index in range(chunk_count(entry.size)):
                        yield entry, index
            elif stat.S_ISDIR(entry.mode) and len(stack) < MAX_DEPTH:
                yield None
                if entry.ino in tree.large_folders:
                    continue  # a walk that enters it is followed anew
                stack.append(iter(tree.entries(entry.ino).values()))
                break
        else:
            stack.pop()
