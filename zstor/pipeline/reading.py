"""Reads an object's chunks, the next ones while a chunk is used."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from zstor.codec.cipher import OVERHEAD, unseal
from zstor.codec.compression import decompress
from zstor.errors import DamagedError
from zstor.format.file import Chunk, StoredFile, count_chunks
from zstor.format.piece import place_of
from zstor.pipeline.pieces import fetch_chunk
from zstor.pipeline.table import walk
from zstor.pipeline.vault import Vault

AHEAD = 2


def read_table(vault: Vault, file: StoredFile, depth: int, number: int, chunk: Chunk) -> bytes:
    """Return the content of a table's chunk."""
    sealed = fetch_chunk(vault, file, chunk)
    place = place_of(file.object_id, depth, number)
    return unseal(vault.table_key(file.object_id), sealed, place)


def all_chunks(vault: Vault, file: StoredFile) -> Iterator[tuple[int, int, Chunk]]:
    """Yield depth, number and entry of each of a file's chunks, and of its tables."""
    return walk(file, lambda depth, number, chunk: read_table(vault, file, depth, number, chunk))


def read_bytes(
    vault: Vault, file: StoredFile, start: int = 0, end: int | None = None
) -> Iterator[bytes]:
    """Yield the bytes of a file from `start` up to `end`, each chunk verified."""
    end = file.size if end is None else min(end, file.size)
    if start >= end:
        return
    first, last = start // file.chunk_size, (end - 1) // file.chunk_size
    key = vault.unwrap(file)
    wanted = (
        (number, chunk)
        for depth, number, chunk in all_chunks(vault, file)
        if depth == 0 and first <= number <= last
    )
    count = 0
    for number, data in _ahead(wanted, lambda n, chunk: _read_chunk(vault, file, key, n, chunk)):
        count += 1
        offset = number * file.chunk_size
        yield data[max(0, start - offset) : end - offset]
        if number == last:
            break
    if count != last - first + 1:
        raise DamagedError(f"cannot read {file.name}: its list of chunks is too short")


def _read_chunk(vault: Vault, file: StoredFile, key: bytes, number: int, chunk: Chunk) -> bytes:
    if number >= count_chunks(file.size, file.chunk_size):
        raise DamagedError(f"cannot read {file.name}: its list of chunks is too long")
    size = min(file.chunk_size, file.size - number * file.chunk_size)
    if chunk.length > size + 1 + OVERHEAD:
        raise DamagedError(f"cannot read {file.name}: chunk {number} has an impossible length")
    sealed = fetch_chunk(vault, file, chunk)
    return decompress(unseal(key, sealed, place_of(file.object_id, 0, number)), size)


def _ahead(
    wanted: Iterator[tuple[int, Chunk]], read: Callable[[int, Chunk], bytes]
) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of each chunk, in order; the next ones are read meanwhile.

    These threads wait for those of the pool, so they are others.
    """
    waiting: deque[tuple[int, Future[bytes]]] = deque()
    threads = ThreadPoolExecutor(AHEAD, "zstor-ahead")
    try:
        for number, chunk in wanted:
            waiting.append((number, threads.submit(read, number, chunk)))
            if len(waiting) > AHEAD:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
