"""A piece: one shard of one chunk, as it is in a sequential namespace of a zdb server.

| field | bytes |
| --- | --- |
| magic | 4: `ZSP1` |
| object | 16 |
| depth | 1: 0 a chunk of the file, else of a table |
| chunk, shard | 4, 2: numbers, big-endian |
| shard | the rest |

The header says whose an unreferenced piece is. Nothing in it is believed when a file is read:
a piece is what its checksum in the metadata says.
"""

import struct
from typing import NamedTuple

HEADER = struct.Struct(">4s16sBIH")
MAGIC = b"ZSP1"


class PieceName(NamedTuple):
    """Which shard of which chunk a piece is."""

    object_id: bytes
    depth: int
    chunk: int
    shard: int


def wrap_piece(name: PieceName, shard: bytes) -> bytes:
    """Return a piece."""
    return HEADER.pack(MAGIC, *name) + shard


def unwrap_piece(piece: bytes) -> bytes:
    """Return the shard in a piece."""
    return piece[HEADER.size :]


def read_name(piece: bytes) -> PieceName | None:
    """Return what a piece says it is, or None if it is none of ours."""
    if len(piece) < HEADER.size or not piece.startswith(MAGIC):
        return None
    return PieceName(*HEADER.unpack_from(piece)[1:])


def place_of(object_id: bytes, depth: int, chunk: int) -> bytes:
    """Return what a chunk's encryption is bound to."""
    return HEADER.pack(b"ZSC1", object_id, depth, chunk, 0)
