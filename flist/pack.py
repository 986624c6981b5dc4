"""Makes a flist of a directory: scan, encode in parallel, write the metadata at the end.

Files are handled in batches of a few MiB, largest first; a worker reads, encodes and stores one
chunk at a time, so memory does not depend on file sizes. The `.fl` appears only after the blocks
are on disk.
"""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from flist.blocks import Encoded, check_arrival, encode
from flist.errors import FlistError
from flist.memory import Entry, find_known, make_entry, memory_path, recall, remember
from flist.model import CHUNK_BYTES, Block, Inode, Route, chunk_count
from flist.scan import FileJob, Scan, scan_tree
from flist.store.routed import RoutedStore, open_routes
from flist.workers import Worker, run_jobs
from flist.writer import Content, write_flist

BATCH_BYTES = 4 << 20
ZEROS = bytes(CHUNK_BYTES)
SEGMENT_BYTES = 64 << 20
"""A larger file is read in segments, by several workers."""


class Piece(NamedTuple):
    """A part of a file: `length` bytes from `start` (both multiples of a chunk but at the end).

    `known` are the blocks of a whole file that has not changed since the last time.
    """

    ino: int
    path: bytes
    start: int
    length: int
    known: tuple[Block, ...] = ()


class Packed(NamedTuple):
    """What one piece became; `length` is how many bytes there were."""

    ino: int
    start: int
    length: int
    blocks: list[Block]
    is_reused: bool = False


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
        self.store: RoutedStore | None = None
        self.stored: set[bytes] = set()
        self.zeros: Encoded | None = None  # holes are many of the same chunk

    def open(self) -> None:
        """Open the stores."""
        self.store = open_routes(self.routes, check_arrival)

    def work(self, job: list[Piece]) -> list[Packed]:
        """Store every piece of a batch."""
        return [self.pack_piece(piece) for piece in job]

    def pack_piece(self, piece: Piece) -> Packed:
        """Read a piece chunk by chunk and store it; what is known and stored is not read."""
        if piece.known and all(map(self.is_stored, piece.known)):
            return Packed(piece.ino, piece.start, piece.length, list(piece.known), is_reused=True)
        blocks = []
        total = 0
        try:
            handle = os.open(piece.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            name = os.fsdecode(piece.path)
            raise FlistError(f"cannot read {name}: {error.strerror}") from error
        try:
            while total < piece.length:
                want = min(CHUNK_BYTES, piece.length - total)
                chunk = os.pread(handle, want, piece.start + total)
                if not chunk:
                    break  # the file has become shorter since it was listed
                if len(chunk) < want:
                    chunk = read_rest(handle, chunk, want, piece.start + total)
                blocks.append(self.store_chunk(chunk))
                total += len(chunk)
        finally:
            os.close(handle)
        return Packed(piece.ino, piece.start, total, blocks)

    def is_stored(self, block: Block) -> bool:
        """Whether a block is in every store of it."""
        assert self.store is not None
        if block.id not in self.stored and self.store.has(block.id):
            self.stored.add(block.id)
        return block.id in self.stored

    def store_chunk(self, chunk: bytes) -> Block:
        """Encode one chunk and store it, unless this worker has done so already."""
        if chunk == ZEROS:
            if self.zeros is None:
                self.zeros = encode(chunk)
            block, data = self.zeros
        else:
            block, data = encode(chunk)
        if block.id not in self.stored:
            assert self.store is not None
            self.store.put(block.id, data)
            self.stored.add(block.id)
        return block

    def close(self) -> None:
        """Make the blocks durable."""
        assert self.store is not None
        self.store.flush()
        self.store.close()


def read_rest(handle: int, chunk: bytes, want: int, offset: int) -> bytes:
    """Return the chunk filled up from a file that gives less than it is asked for."""
    while len(chunk) < want and (more := os.pread(handle, want - len(chunk), offset + len(chunk))):
        chunk += more
    return chunk


def make_pieces(files: Sequence[FileJob], memory: Mapping[bytes, Entry]) -> list[Piece]:
    """Return what to do: a piece for each unchanged file, and for each segment of the others."""
    pieces = []
    for job in files:
        known = find_known(memory, job.path, job.stamp) if memory else ()
        if len(known) == chunk_count(job.size):
            pieces.append(Piece(job.ino, job.path, 0, job.size, known))
            continue
        starts = range(0, job.size, SEGMENT_BYTES)
        pieces += [Piece(job.ino, job.path, s, min(SEGMENT_BYTES, job.size - s)) for s in starts]
    return pieces


def make_batches(pieces: list[Piece]) -> list[list[Piece]]:
    """Return the pieces in batches of about `BATCH_BYTES`, largest first."""
    pieces.sort(key=lambda piece: (-piece.length, piece.ino, piece.start))
    batches: list[list[Piece]] = []
    left = 0
    for piece in pieces:
        if left <= 0:
            batches.append([])
            left = BATCH_BYTES
        batches[-1].append(piece)
        # Opening a file costs something, too; asking for known blocks hardly more than that.
        left -= 4096 * (1 + len(piece.known)) if piece.known else piece.length + 4096
    return batches


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
    now_ns = time.time_ns()
    scan = scan_tree(root)
    notes = memory_path(root)
    memory = {} if is_checksum else recall(notes)
    pieces = make_pieces(scan.files, memory)
    packed = encode_files(pieces, routes, processes, progress)
    inodes, blocks = settle(scan, packed)
    kept = [r if keep_passwords else r._replace(url=strip_password(r.url)) for r in routes]
    write_flist(meta, Content(inodes, blocks, scan.meta, tags or {}, kept))
    remember(notes, make_memory(scan, inodes, blocks, now_ns))
    every = [block for inode in inodes for block in blocks.get(inode.ino, ())]
    size = sum(inode.size for inode in inodes if inode.is_file and not inode.same_as)
    read = sum(piece.length for piece in packed if not piece.is_reused)
    return Summary(len(inodes), size, len(every), len({block.id for block in every}), read)


def make_memory(
    scan: Scan, inodes: Sequence[Inode], blocks: Mapping[int, list[Block]], now_ns: int
) -> dict[bytes, Entry]:
    """Return what the next pack of the same directory may rely on."""
    entries = {}
    for job in scan.files:
        if inodes[job.ino - 1].size == job.size:  # it did not change while it was read
            entry = make_entry(job.stamp, blocks.get(job.ino, []), now_ns)
            if entry is not None:
                entries[job.path] = entry
    return entries


def encode_files(
    pieces: list[Piece],
    routes: Sequence[Route],
    processes: int,
    progress: Callable[[int, int], None] | None,
) -> list[Packed]:
    """Encode and store all pieces; return what became of each."""
    total = sum(piece.length for piece in pieces)
    done = 0
    packed: list[Packed] = []
    for batch in run_jobs(make_batches(pieces), Encoder(routes), processes):
        packed += batch
        done += sum(piece.length for piece in batch)
        if progress is not None:
            progress(done, total)
    return packed


def settle(scan: Scan, packed: list[Packed]) -> tuple[list[Inode], dict[int, list[Block]]]:
    """Return inodes and blocks that fit together, also where a file changed meanwhile."""
    blocks: dict[int, list[Block]] = {}
    sizes: dict[int, int] = {}
    for piece in sorted(packed, key=lambda piece: (piece.ino, piece.start)):
        if sizes.get(piece.ino, 0) == piece.start:  # nothing after the end of a shortened file
            blocks.setdefault(piece.ino, []).extend(piece.blocks)
            sizes[piece.ino] = piece.start + piece.length
    inodes = list(scan.inodes)
    for index, inode in enumerate(inodes):
        first = inode.content_ino
        if inode.is_file and inode.size != sizes.get(first, 0):
            inodes[index] = inode._replace(size=sizes.get(first, 0))
        if inode.same_as and first in blocks:
            blocks[inode.ino] = blocks[first]
    return inodes, blocks


def strip_password(url: str) -> str:
    """Return `url` without its password; an S3 user name alone is no secret and stays."""
    if url.startswith("server://"):
        return re.sub(r"([?&])token=[^&]*(&|$)", r"\1", url).rstrip("?&")
    parts = urlsplit(url)
    user, colon, _ = parts.netloc.rpartition("@")[0].partition(":")
    if not colon:
        return url
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{user}@{host}" if user else host
    return urlunsplit(parts._replace(netloc=netloc))
