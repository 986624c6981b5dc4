"""Divides files into pieces, and pieces into batches for the workers.

A piece is a file, or a segment of a large one, so that no worker is still busy long after the
others have ended.
"""

from collections.abc import Iterable, Iterator, Mapping

from flist.blocks.parts import LARGE_BYTES
from flist.model import CHUNK_BYTES, chunk_count
from flist.pack.known_files import BLOCK_BYTES, Entry, find_known
from flist.pack.scan import FileJob

SEGMENT_BYTES = 2 << 20
BATCH_BYTES = 2 << 20
OPEN_BYTES = 4096
"""Opening a file costs about as much as reading this many bytes."""

Piece = tuple[int, bytes, int, int, bytes, bool]
"""A piece of a file: inode number, path, start, length (both multiples of a chunk except at the
end), its joined blocks if the file has not changed since the last pack or else b"", and whether the
file is so large that the flist has the parts of its blocks. (A tuple without names is pickled in
half the time.)"""


def make_pieces(files: Iterable[FileJob], known_files: Mapping[bytes, Entry]) -> Iterator[Piece]:
    """Yield the pieces of all files."""
    for ino, path, size, stamp in files:
        known = find_known(known_files, path, stamp) if known_files else b""
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
    """Yield the pieces in batches of about `BATCH_BYTES`.

    Known pieces count as well: their blocks may be gone from the stores.
    """
    batch: list[Piece] = []
    left = BATCH_BYTES
    for piece in pieces:
        batch.append(piece)
        left -= piece[3] + OPEN_BYTES
        if left <= 0:
            yield batch
            batch = []
            left = BATCH_BYTES
    if batch:
        yield batch
