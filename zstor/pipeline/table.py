"""The list of a file's chunks: short lists are in the metadata, long ones are stored as chunks."""

from collections.abc import Callable, Iterator

from zstor.errors import ZstorError
from zstor.format.file import MAX_DEPTH, Chunk, StoredFile, decode_table, encode_chunk

Write = Callable[[int, int, bytes], Chunk]
"""Stores a table's content, given its depth and number, and returns its own entry."""
Fetch = Callable[[int, int, Chunk], bytes]
"""Returns that content."""
LIMIT = 1 << 20
MIN_ENTRIES = 8


class Table:
    """Collects chunks. When a level has more than `limit` bytes, they become a chunk above it."""

    def __init__(self, write: Write, limit: int = LIMIT) -> None:
        self.write = write
        self.limit = limit
        self.levels = [bytearray()]
        self.written = [0]

    def add(self, chunk: Chunk, level: int = 0) -> None:
        """Append a chunk."""
        entry = encode_chunk(chunk)
        limit = max(self.limit, MIN_ENTRIES * len(entry))
        if len(self.levels[level]) + len(entry) > limit:
            self._flush(level)
        self.levels[level] += entry

    def _flush(self, level: int) -> None:
        if level == MAX_DEPTH:
            raise ZstorError(
                "cannot store the file: it has too many chunks",
                hint="a larger chunk_size in the configuration",
            )
        if level + 1 == len(self.levels):
            self.levels.append(bytearray())
            self.written.append(0)
        chunk = self.write(level + 1, self.written[level], bytes(self.levels[level]))
        self.written[level] += 1
        self.levels[level].clear()
        self.add(chunk, level + 1)

    def finish(self) -> tuple[int, bytes]:
        """Return the depth and the entries that belong into the metadata."""
        level = 0
        while level < len(self.levels) - 1:
            if self.levels[level]:
                self._flush(level)
            level += 1
        return level, bytes(self.levels[level])


def walk(file: StoredFile, fetch: Fetch) -> Iterator[tuple[int, int, Chunk]]:
    """Yield depth, number and entry of every chunk of a file; a table comes after what is in it."""
    numbers = [0] * (file.depth + 1)

    def below(depth: int, chunks: Iterator[Chunk]) -> Iterator[tuple[int, int, Chunk]]:
        for chunk in chunks:
            number = numbers[depth]
            numbers[depth] += 1
            if depth:
                content = fetch(depth, number, chunk)
                inside = decode_table(content, file.shape, len(file.places))
                yield from below(depth - 1, inside)
            yield depth, number, chunk

    return below(file.depth, iter(file.chunks))
