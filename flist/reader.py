"""Reads ranges of files out of a tree, chunk by chunk."""

import threading
from collections import OrderedDict

from flist.errors import FormatError
from flist.fetch import Fetcher
from flist.model import CHUNK_BYTES, Block, Inode, chunk_count, chunk_size
from flist.tree import Tree

KEPT_LISTS = 256


class Reader:
    """The bytes of a tree's files. Safe to use from several threads."""

    def __init__(self, tree: Tree, fetcher: Fetcher) -> None:
        self.tree = tree
        self.fetcher = fetcher
        self.lists: OrderedDict[int, list[Block]] = OrderedDict()
        self.lock = threading.Lock()

    def blocks(self, inode: Inode) -> list[Block]:
        """Return the blocks of a file; raises `FormatError` if there are too few or too many."""
        ino = inode.content_ino
        with self.lock:
            known = self.lists.get(ino)
            if known is not None:
                self.lists.move_to_end(ino)
                return known
        blocks = self.tree.blocks(inode)
        if len(blocks) != chunk_count(inode.size):
            raise FormatError(f"inode {ino} has {len(blocks)} blocks for {inode.size} bytes")
        with self.lock:
            self.lists[ino] = blocks
            while len(self.lists) > KEPT_LISTS:
                self.lists.popitem(last=False)
        return blocks

    def read(self, inode: Inode, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`; less only at the end of the file."""
        end = min(offset + size, inode.size)
        if offset >= end:
            return b""
        blocks = self.blocks(inode)
        first, last = offset // CHUNK_BYTES, (end - 1) // CHUNK_BYTES
        pieces = []
        for index in range(first, last + 1):
            chunk = self.fetcher.plain(blocks[index], chunk_size(inode.size, index))
            start = index * CHUNK_BYTES
            pieces.append(chunk[max(offset - start, 0) : end - start])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
