"""Makes a flist of a directory: workers read, encode and store while it is still being listed.

Files are handled in batches of a few MiB, large ones in segments; a worker takes one chunk at a
time, so memory does not depend on file sizes. The `.fl` appears only after the blocks are on disk.
"""

import os
import time
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from flist.blocks.codec import check_arrival, digest, encode
from flist.blocks.heap import without_collector
from flist.blocks.parts import LARGE_BYTES, encode_parts, rows_of_large_files
from flist.errors import FlistError
from flist.format.tables import Tables
from flist.format.writer import Draft, check_output
from flist.http.urls import strip_passwords
from flist.model import CHUNK_BYTES, Block, Route, chunk_count
from flist.pack.known_files import (
    BLOCK_BYTES,
    NO_MEMORY,
    Entry,
    Memory,
    find_known,
    join_blocks,
    memory_path,
    recall,
    remember,
    split_blocks,
)
from flist.pack.results import SEGMENT_BYTES, Packed, Results
from flist.pack.scan import FileJob, Walk
from flist.pack.workers import Worker, run_jobs
from flist.store.routed import open_routes
from flist.store.sender import Sender, find_lacking

BATCH_BYTES = 2 << 20
ZEROS = bytes(CHUNK_BYTES)

Piece = tuple[int, bytes, int, int, bytes, bool]
"""A piece of a file: inode number, path, start, length (both multiples of a chunk but at the end),
its blocks, joined, if the file has not changed since the last time, and whether it is so large
that the parts of its blocks are to be noted."""


class Summary(NamedTuple):
    """What a pack did."""

    inodes: int
    size_bytes: int
    blocks: int
    distinct: int
    read_bytes: int


class Encoder(Worker[list[Piece], list[Packed]]):
    """Reads, encodes and stores batches of pieces."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        self.sender: Sender | None = None
        self.stored: dict[bytes, Block] = {}  # by key
        self.rows: dict[bytes, bytes] = {}  # key -> row of parts, of large files' blocks
        self.zeros = b""  # the key of a hole's chunk, once there was one

    def open(self) -> None:
        """Open the stores."""
        self.sender = Sender(open_routes(self.routes, check_arrival))

    def work(self, job: list[Piece]) -> list[Packed]:
        """Store every piece of a batch."""
        self.find_stored(job)
        return [self.pack_piece(piece) for piece in job]

    def pack_piece(self, piece: Piece) -> Packed:
        """Read a piece chunk by chunk and store it; what is known and stored is not read."""
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
        """Ask the stores, all at once, for the blocks that a batch is known to need."""
        assert self.sender is not None
        blocks = (block for piece in job if piece[4] for block in split_blocks(piece[4]))
        wanted = {block.id: block for block in blocks if block.key not in self.stored}
        lacking = find_lacking(self.sender.store, wanted)
        there = (block for block_id, block in wanted.items() if block_id not in lacking)
        self.stored.update((block.key, block) for block in there)

    def store_chunk(self, chunk: bytes, is_large: bool) -> Block:
        """Encode one chunk and store it, unless this worker has done so."""
        is_zeros = chunk == ZEROS
        key = self.zeros if is_zeros and self.zeros else digest(chunk)
        if is_zeros:
            self.zeros = key  # a hole is many of the same chunk
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
    """Return the chunk filled up from a file that gives less than it is asked for."""
    while len(chunk) < want and (more := os.pread(handle, want - len(chunk), offset + len(chunk))):
        chunk += more
    return chunk


def make_pieces(files: Iterable[FileJob], memory: Mapping[bytes, Entry]) -> Iterator[Piece]:
    """Give what to do: a piece for each segment of each file."""
    for ino, path, size, stamp in files:
        known = find_known(memory, path, stamp) if memory else b""
        if len(known) != chunk_count(size) * BLOCK_BYTES:
            known = b""
        if size <= SEGMENT_BYTES:
            yield ino, path, 0, size, known, False
            continue
        for start in range(0, size, SEGMENT_BYTES):
            first = start // CHUNK_BYTES * BLOCK_BYTES
            part = known[first : first + SEGMENT_BYTES // CHUNK_BYTES * BLOCK_BYTES]
            yield ino, path, start, min(SEGMENT_BYTES, size - start), part, size > LARGE_BYTES


def make_batches(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Give the pieces in batches of about `BATCH_BYTES`.

    What is known weighs the same: its blocks may be gone from the stores.
    """
    batch: list[Piece] = []
    left = BATCH_BYTES
    for piece in pieces:
        batch.append(piece)
        left -= piece[3] + 4096  # opening a file costs something, too
        if left <= 0:
            yield batch
            batch = []
            left = BATCH_BYTES
    if batch:
        yield batch


@without_collector()
def pack(
    root: Path,
    meta: Path,
    routes: Sequence[Route],
    *,
    tags: Mapping[str, str] | None = None,
    keep_passwords: bool = False,
    is_checksum: bool = False,
    processes: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Pack the directory `root` into the flist `meta`, its blocks into the stores of `routes`.

    Files that have not changed since the last time are not read, unless `is_checksum`.
    `progress(done, total)` is called with bytes. Raises `FlistError` and `StoreError`.
    """
    open_routes(routes, check_arrival).close()  # a wrong URL shows before any work
    check_output(meta)
    now_ns = time.time_ns()
    walk = Walk(root)
    notes = memory_path(root)
    memory = NO_MEMORY if is_checksum else recall(notes)
    with Draft() as draft:

        def batches() -> Iterator[list[Piece]]:
            yield from make_batches(make_pieces(walk.run(), memory.files))
            draft.begin(walk.found.inodes, walk.found.meta)  # while the workers are at it

        results = encode_files(batches(), Encoder(routes), processes, progress)
        inodes = results.settle(walk.found)
        kept = routes if keep_passwords else strip_passwords(routes)
        rows = ChainMap(results.rows, dict(memory.parts))
        parts = rows_of_large_files(inodes, results.blocks, rows)
        draft.write(meta, Tables(inodes, results.blocks, walk.found.meta, tags or {}, kept, parts))
    remember(notes, Memory(results.memory(walk.found, now_ns), parts))
    every = results.blocks.values()
    distinct = {block.id for blocks in every for block in blocks}
    size = sum(results.sizes.values())
    return Summary(len(inodes), size, sum(map(len, every)), len(distinct), results.read)


def encode_files(
    batches: Iterable[list[Piece]],
    encoder: Encoder,
    processes: int,
    progress: Callable[[int, int], None] | None,
) -> Results:
    """Encode and store all pieces; return what became of them."""
    results = Results()
    found = 0

    def counted() -> Iterator[list[Piece]]:
        nonlocal found
        for batch in batches:
            found += sum(piece[3] for piece in batch)
            yield batch

    for packed in run_jobs(counted(), encoder, processes):
        results.add(packed)
        if progress is not None:
            progress(results.done, found)
    return results
