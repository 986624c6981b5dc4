"""Our metadata of a stored file, as it is before encryption. Numbers are big-endian.

| field | bytes |
| --- | --- |
| layout | 1: the number 1 |
| kind | 1: 1 a file, 2 a deleted one, 3 an unfinished one |
| object | 16, random: each store makes a new object |
| name | 2 for the length, then UTF-8 |
| stored at | 8: nanoseconds since 1970 |
| size, checksum | 8, and 32 of BLAKE2b |
| chunk size | 4: each chunk but the last has so many bytes of the file |
| k, m | 2, 2 |
| wrap, wrapped key | 1 (1 AES, 2 X25519 and ML-KEM-768), 2 for the length, then the key |
| attributes | 2 for their number; of each 2 for the length of its name, the name, 4, its value |
| places | 2 for their number; of each 1, the address, 1, the namespace |
| depth | 1: 0 if the chunks below are the file's |
| chunks | 4 for their number; of each its length (4) and k+m pieces |
| piece | 2 for the number of its place, 16 of BLAKE2b, 1 for the length of its key, the key |

With a depth of 1 or more the chunks are those of a table: what is in them, one after another, is
the chunks of the depth below. So metadata stays small, whatever the size of a file.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple, TypeVar

from zstor.codec.checksum import LONG, SHORT
from zstor.codec.galois import MAX_SHARDS
from zstor.codec.keys import Wrap
from zstor.errors import DamagedError
from zstor.format.reading import Reader, text
from zstor.model import Place, Shape, parse_address

U8, U16, U32, U64 = (struct.Struct(f">{letter}") for letter in "BHIQ")
HEAD = struct.Struct(">BB16s")
SIZES = struct.Struct(">QQ32sIHH")
LAYOUT = 1
OBJECT = 16
MAX_DEPTH = 4
NAME = ("utf-8", "surrogateescape")  # a path may have any bytes
NO_CHECKSUM = bytes(LONG)
T = TypeVar("T", bound=IntEnum)


class Kind(IntEnum):
    """What a name's metadata says."""

    FILE = 1
    DELETED = 2
    UNFINISHED = 3


class Piece(NamedTuple):
    """One shard of a chunk: the number of its place, its checksum, the key it has there."""

    place: int
    checksum: bytes
    key: bytes


class Chunk(NamedTuple):
    """A part of a file, encrypted to `length` bytes, in one piece for each shard."""

    length: int
    pieces: tuple[Piece, ...]


class StoredFile(NamedTuple):
    """All that is known of a stored file."""

    kind: Kind
    object_id: bytes
    name: str
    stored_at: int
    size: int
    checksum: bytes
    chunk_size: int
    shape: Shape
    wrap: Wrap
    wrapped_key: bytes
    attributes: tuple[tuple[str, bytes], ...]
    places: tuple[Place, ...]
    depth: int
    chunks: tuple[Chunk, ...]


def encode_file(file: StoredFile) -> bytes:
    """Return the bytes of a file's metadata, not encrypted."""
    return b"".join(
        [
            HEAD.pack(LAYOUT, file.kind, file.object_id),
            _counted(U16, file.name.encode(*NAME)),
            SIZES.pack(file.stored_at, file.size, file.checksum, file.chunk_size, *file.shape),
            U8.pack(file.wrap) + _counted(U16, file.wrapped_key),
            U16.pack(len(file.attributes)),
            *(_counted(U16, n.encode()) + _counted(U32, value) for n, value in file.attributes),
            U16.pack(len(file.places)),
            *map(_encode_place, file.places),
            U8.pack(file.depth) + U32.pack(len(file.chunks)),
            *map(encode_chunk, file.chunks),
        ]
    )


def decode_file(data: bytes) -> StoredFile:
    """Return the metadata in these bytes."""
    source = Reader(data)
    layout, kind, object_id = source.unpack(HEAD)
    if layout != LAYOUT:
        raise DamagedError(f"cannot read metadata: layout {layout} is of a later version")
    name = source.counted(U16).decode(*NAME)
    stored_at, size, checksum, chunk_size, k, m = source.unpack(SIZES)
    wrap = _member(Wrap, source.number(U8))
    wrapped_key = source.counted(U16)
    attributes = tuple(_attribute(source) for _ in range(source.count(U16, 6)))
    places = tuple(_place(source) for _ in range(source.count(U16, 2)))
    shape, depth = _check_shape(Shape(k, m)), source.number(U8)
    if depth > MAX_DEPTH:
        raise DamagedError(f"cannot read metadata: {depth} tables above one another")
    chunks = tuple(_chunk(source, shape) for _ in range(source.count(U32, 4)))
    source.end()
    file = StoredFile(
        *(_member(Kind, kind), object_id, name, stored_at, size, checksum, chunk_size, shape),
        *(wrap, wrapped_key, attributes, places, depth, chunks),
    )
    _check(file)
    return file


def _check(file: StoredFile) -> None:
    """Refuse numbers that don't fit each other."""
    check_places(file.chunks, len(file.places))
    if file.kind is Kind.FILE and (not file.chunk_size or (not file.depth and not _fits(file))):
        raise DamagedError("cannot read metadata: its chunks don't make the file")


def _fits(file: StoredFile) -> bool:
    return len(file.chunks) == count_chunks(file.size, file.chunk_size)


def count_chunks(size: int, chunk_size: int) -> int:
    """Return how many chunks a file has."""
    return -(-size // chunk_size)


def check_places(chunks: tuple[Chunk, ...], count: int) -> None:
    """Refuse pieces at places that are not in the list."""
    if any(piece.place >= count for chunk in chunks for piece in chunk.pieces):
        raise DamagedError("cannot read metadata: a piece is at no place")


def _check_shape(shape: Shape) -> Shape:
    if not shape.k or shape.total > MAX_SHARDS:
        raise DamagedError(f"cannot read metadata: {shape.k}+{shape.m} shards are no code")
    return shape


def _member(kinds: type[T], value: int) -> T:
    try:
        return kinds(value)
    except ValueError as error:
        raise DamagedError(f"cannot read metadata: unknown {kinds.__name__} {value}") from error


def _counted(form: struct.Struct, raw: bytes) -> bytes:
    return form.pack(len(raw)) + raw


def _attribute(source: Reader) -> tuple[str, bytes]:
    return text(source.counted(U16)), source.counted(U32)


def _encode_place(place: Place) -> bytes:
    namespace = (place.namespace or "").encode()
    return _counted(U8, place.address.encode()) + _counted(U8, namespace)


def _place(source: Reader) -> Place:
    try:
        host, port = parse_address(text(source.counted(U8)))
    except ValueError as error:
        raise DamagedError(f"cannot read metadata: {error}") from error
    return Place(host, port, text(source.counted(U8)) or None)


def encode_chunk(chunk: Chunk) -> bytes:
    """Return the bytes of a chunk's entry, in metadata and in tables."""
    pieces = (
        U16.pack(piece.place) + piece.checksum + _counted(U8, piece.key) for piece in chunk.pieces
    )
    return U32.pack(chunk.length) + b"".join(pieces)


def _chunk(source: Reader, shape: Shape) -> Chunk:
    length = source.number(U32)
    return Chunk(length, tuple(_piece(source) for _ in range(shape.total)))


def _piece(source: Reader) -> Piece:
    return Piece(source.number(U16), source.take(SHORT), source.counted(U8))


def decode_table(data: bytes, shape: Shape, places: int) -> Iterator[Chunk]:
    """Yield the chunks in a table's chunk; entries don't go over its end."""
    for chunk in read_chunks(data, shape):
        check_places((chunk,), places)
        yield chunk


def read_chunks(data: bytes, shape: Shape) -> Iterator[Chunk]:
    """Yield chunks that `encode_chunk` wrote one after another."""
    source = Reader(data)
    while source.left:
        yield _chunk(source, shape)
