"""The list of a file's chunks."""

import pytest

from zstor.errors import ZstorError
from zstor.format.file import MAX_DEPTH, Chunk, Piece
from zstor.pipeline.table import Table

CHUNK = Chunk(100, (Piece(0, bytes(16), bytes(8)),))


def test_a_list_that_no_reader_would_follow_is_not_written() -> None:
    depths = []

    def write(depth: int, _number: int, _content: bytes) -> Chunk:
        depths.append(depth)
        return CHUNK

    table = Table(write, limit=1)
    with pytest.raises(ZstorError, match="too many chunks"):
        for _ in range(100_000):
            table.add(CHUNK)
    assert max(depths) == MAX_DEPTH
