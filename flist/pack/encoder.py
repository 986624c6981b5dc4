"""Reads, encodes and stores the pieces of files, in each worker process."""

import os
from collections.abc import Sequence

from flist.blocks.codec import check_arrival, digest, encode
from flist.blocks.parts import encode_parts
from flist.errors import FlistError
from flist.model import CHUNK_BYTES, Block, Route
from flist.pack.known_files import join_blocks, split_blocks
from flist.pack.pieces import Piece
from flist.pack.results import Packed
from flist.pack.workers import Worker
from flist.store.routed import open_routes
from flist.store.sender import Sender, find_lacking

ZEROS = bytes(CHUNK_BYTES)


class Encoder(Worker[list[Piece], list[Packed]]):
    """Packs batches of pieces; with `is_checksum`, damaged blocks in the stores are replaced."""

    def __init__(self, routes: Sequence[Route], *, is_checksum: bool = False) -> None:
        self.routes = routes
        self.is_checksum = is_checksum
        self.sender: Sender | None = None
        self.stored: dict[bytes, Block] = {}  # by key
        self.rows: dict[bytes, bytes] = {}  # rows of parts of large files' blocks, by key
        self.zeros = b""  # the key of a chunk of zeros, once there was one

    def open(self) -> None:
        """Open the stores."""
        self.sender = Sender(open_routes(self.routes, check_arrival), is_checking=self.is_checksum)

    def work(self, job: list[Piece]) -> list[Packed]:
        """Pack the pieces of a batch."""
        self.find_stored(job)
        return [self.pack_piece(piece) for piece in job]

    def pack_piece(self, piece: Piece) -> Packed:
        """Read a piece chunk by chunk and store it, unless it is known and all its blocks are
        stored."""
        ino, path, start, length, known, is_large = piece
        if known and all(block.key in self.stored for block in split_blocks(known)):
            return ino, start, length, known, {}, True
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise FlistError(f"cannot read {os.fsdecode(path)}: {error.strerror}") from error
        blocks: list[Block] = []
        rows: dict[bytes, bytes] = {}
        place, end = start, start + length
        try:
            while place < end:
                want = min(CHUNK_BYTES, end - place)
                chunk = os.pread(handle, want, place)
                if len(chunk) < want:
                    chunk = read_rest(handle, chunk, want, place)
                if not chunk:
                    break  # the file has become shorter since it was listed
                block = self.store_chunk(chunk, is_large)
                blocks.append(block)
                if is_large:
                    rows[block.id] = self.rows[block.key]
                place += len(chunk)
        finally:
            os.close(handle)
        return ino, start, place - start, join_blocks(blocks), rows, False

    def find_stored(self, job: list[Piece]) -> None:
        """Look up which known blocks of a batch are in the stores, in one request per store."""
        assert self.sender is not None
        blocks = (block for piece in job if piece[4] for block in split_blocks(piece[4]))
        wanted = {block.id: block for block in blocks if block.key not in self.stored}
        lacking = find_lacking(self.sender.store, wanted)
        there = (block for block_id, block in wanted.items() if block_id not in lacking)
        self.stored.update((block.key, block) for block in there)

    def store_chunk(self, chunk: bytes, is_large: bool) -> Block:
        """Encode and store a chunk, unless this worker has stored it already; return its block."""
        is_zeros = chunk == ZEROS
        key = self.zeros if is_zeros and self.zeros else digest(chunk)
        if is_zeros:
            self.zeros = key  # a hole is many of these chunks
        block = self.stored.get(key)
        if block is None or (is_large and key not in self.rows):
            assert self.sender is not None
            if is_large:
                (block, data), self.rows[key] = encode_parts(chunk, key)
            else:
                block, data = encode(chunk, key)
            self.sender.put(block.id, data)
            self.stored[key] = block
        return block

    def close(self) -> None:
        """Make the blocks durable."""
        assert self.sender is not None
        self.sender.flush()
        self.sender.close()


def read_rest(handle: int, chunk: bytes, want: int, offset: int) -> bytes:
    """Return `chunk` completed by further reads, for a file whose reads return less than asked."""
    while len(chunk) < want and (more := os.pread(handle, want - len(chunk), offset + len(chunk))):
        chunk += more
    return chunk
