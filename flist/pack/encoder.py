"""Reads, encodes and stores the pieces of files, in each worker process."""

import errno
import os
import stat
from collections.abc import Sequence

from flist.blocks.codec import check_arrival, digest, encode
from flist.blocks.parts import encode_parts
from flist.errors import FlistError
from flist.folders import Folders, Near
from flist.model import CHUNK_BYTES, Block, Route
from flist.pack.known_files import join_blocks, split_blocks
from flist.pack.pieces import Piece
from flist.pack.results import VANISHED, Packed
from flist.pack.workers import Worker
from flist.store.routed import open_routes
from flist.store.sender import Sender, find_lacking

ZEROS = bytes(CHUNK_BYTES)


class Encoder(Worker[list[Piece], list[Packed]]):
    """Packs batches of pieces; with `is_checksum`, damaged blocks in the stores are replaced."""

    def __init__(
        self, routes: Sequence[Route], folders: Folders, *, is_checksum: bool = False
    ) -> None:
        self.routes = routes
        self.folders = folders
        self.is_checksum = is_checksum
        self.sender: Sender | None = None
        self.stored: dict[bytes, Block] = {}  # by key
        self.rows: dict[bytes, bytes] = {}  # rows of parts of large files' blocks, by key
        self.zeros = b""  # the key of a chunk of zeros, once there was one
        self.near = Near(folders)

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
            handle = self.open_file(path)
            if handle is None:
                return ino, start, VANISHED, b"", {}, False
            try:
                blocks, size = self.store_range(handle, start, length, is_large)
            finally:
                os.close(handle)
        except OSError as error:
            name = self.folders.show(path)
            raise FlistError(
                f"cannot read {name}: {error.strerror}", hint="--exclude leaves it out"
            ) from error
        rows = {block.id: self.rows[block.key] for block in blocks} if is_large else {}
        return ino, start, size, join_blocks(blocks), rows, False

    def open_file(self, path: bytes) -> int | None:
        """Open a file; return None if it was removed or replaced since it was listed."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            folder, _, name = path.rpartition(b"/")
            handle = os.open(name, flags, dir_fd=self.near.open(folder))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
                return None
            raise
        if stat.S_ISREG(os.fstat(handle).st_mode):
            return handle
        os.close(handle)
        return None

    def store_range(
        self, handle: int, start: int, length: int, is_large: bool
    ) -> tuple[list[Block], int]:
        """Store the chunks of a range of an open file; return their blocks and their size, which
        is less if the file has become shorter since it was listed."""
        blocks: list[Block] = []
        place, end = start, start + length
        is_asked = end > CHUNK_BYTES  # a lone chunk is read sooner than its holes are found
        while place < end:
            want = min(CHUNK_BYTES, end - place)
            if is_asked and find_data(handle, place) >= place + want:
                chunk = ZEROS if want == CHUNK_BYTES else ZEROS[:want]
            else:
                chunk = os.pread(handle, want, place)
            if len(chunk) < want:
                chunk = read_rest(handle, chunk, want, place)
            if not chunk:
                break
            blocks.append(self.store_chunk(chunk, is_large))
            place += len(chunk)
        return blocks, place - start

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
        self.near.close()
        assert self.sender is not None
        self.sender.flush()
        self.sender.close()


def find_data(handle: int, place: int) -> int:
    """Return where data begins in a file at or after `place`; `place` if that is not known."""
    try:
        return os.lseek(handle, place, os.SEEK_DATA)
    except OSError as error:
        return os.fstat(handle).st_size if error.errno == errno.ENXIO else place


def read_rest(handle: int, chunk: bytes, want: int, offset: int) -> bytes:
    """Return `chunk` completed by further reads, for a file whose reads return less than asked."""
    while len(chunk) < want and (more := os.pread(handle, want - len(chunk), offset + len(chunk))):
        chunk += more
    return chunk
