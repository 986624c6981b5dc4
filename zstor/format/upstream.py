"""Upstream's metadata (0-stor_v2 d542f6c, `meta.rs`, `zdb.rs`, `config.rs`): bincode 1.

Numbers are little-endian; lengths have 8 bytes, enum variants 4, options one byte before them.
The data key and the passwords of all backends are in it.
"""

import ipaddress
import struct
from typing import NamedTuple

from zstor.codec.checksum import SHORT, short_checksum
from zstor.codec.cipher import KEY
from zstor.codec.galois import MAX_SHARDS
from zstor.errors import DamagedError
from zstor.format.reading import Reader, text
from zstor.model import Backend, Place, Shape

U8, U16, U32, U64 = (struct.Struct(f"<{letter}") for letter in "BHIQ")
AES = SNAPPY = 0
OLD_KEY, NEW_KEY = 0, 1
V4, V6 = 0, 1
KEY_SIZES = {OLD_KEY: 4, NEW_KEY: 8}
ADDRESS_SIZES = {V4: 4, V6: 16}


class Shard(NamedTuple):
    """One shard: the keys of its pieces, in order, and where they are."""

    number: int
    checksum: bytes
    keys: tuple[bytes, ...]
    backend: Backend


class UpstreamFile(NamedTuple):
    """Where a file is, and the key that opens it."""

    shape: Shape
    checksum: bytes
    key: bytes
    shards: tuple[Shard, ...]


class Failure(NamedTuple):
    """A store that failed, as older versions wrote it down."""

    path: str
    key_dir: str | None
    delete: bool


def encode_file(file: UpstreamFile) -> bytes:
    """Return the bytes of a file's metadata, not encrypted."""
    head = U64.pack(file.shape.k) + U64.pack(file.shape.m) + file.checksum
    ways = U32.pack(AES) + _text(file.key.hex()) + U32.pack(SNAPPY)
    return head + ways + U64.pack(len(file.shards)) + b"".join(map(_shard, file.shards))


def decode_file(data: bytes) -> UpstreamFile:
    """Return the metadata in these bytes."""
    source = Reader(data)
    shape = Shape(source.number(U64), source.number(U64))
    if not (shape.k and shape.m) or shape.total > MAX_SHARDS:
        raise DamagedError(f"cannot read metadata: {shape.k}+{shape.m} shards are no code")
    checksum = source.take(SHORT)
    _expect(source, AES, "encryption")
    key = _hex_key(text(source.counted(U64)))
    _expect(source, SNAPPY, "compression")
    shards = tuple(_read_shard(source) for _ in range(source.count(U64, 40)))
    source.end()
    if any(shard.number >= shape.total for shard in shards):
        raise DamagedError("cannot read metadata: a shard has a number that the code lacks")
    return UpstreamFile(shape, checksum, key, shards)


def _expect(source: Reader, variant: int, what: str) -> None:
    found = source.number(U32)
    if found != variant:
        raise DamagedError(f"cannot read metadata: unknown {what} {found}")


def _hex_key(digits: str) -> bytes:
    try:
        key = bytes.fromhex(digits)
    except ValueError:
        key = b""
    if len(key) != KEY:
        raise DamagedError("cannot read metadata: its key is invalid")
    return key


def _text(value: str) -> bytes:
    raw = value.encode()
    return U64.pack(len(raw)) + raw


def _option(value: str | None) -> bytes:
    return U8.pack(0) if value is None else U8.pack(1) + _text(value)


def _read_option(source: Reader) -> str | None:
    flag = source.number(U8)
    if flag > 1:
        raise DamagedError(f"cannot read metadata: option flag {flag}")
    return text(source.counted(U64)) if flag else None


def _shard(shard: Shard) -> bytes:
    place, password = shard.backend
    keys = b"".join(map(_key, shard.keys))
    head = U64.pack(shard.number) + shard.checksum + U64.pack(len(shard.keys)) + keys
    return head + _address(place) + _option(place.namespace) + _option(password)


def _read_shard(source: Reader) -> Shard:
    number, checksum = source.number(U64), source.take(SHORT)
    keys = tuple(_read_key(source) for _ in range(source.count(U64, 8)))
    host, port = _read_address(source)
    place = Place(host, port, _read_option(source))
    return Shard(number, checksum, keys, Backend(place, _read_option(source)))


def _key(key: bytes) -> bytes:
    variants = [kind for kind, size in KEY_SIZES.items() if size == len(key)]
    if not variants:
        raise DamagedError(f"cannot write metadata: a backend gave a key of {len(key)} bytes")
    return U32.pack(variants[0]) + key


def _read_key(source: Reader) -> bytes:
    return source.take(_size(source, KEY_SIZES, "key"))


def _size(source: Reader, sizes: dict[int, int], what: str) -> int:
    variant = source.number(U32)
    if variant not in sizes:
        raise DamagedError(f"cannot read metadata: unknown kind of {what} {variant}")
    return sizes[variant]


def _address(place: Place) -> bytes:
    packed = ipaddress.ip_address(place.host).packed
    variant = V4 if len(packed) == ADDRESS_SIZES[V4] else V6
    return U32.pack(variant) + packed + U16.pack(place.port)


def _read_address(source: Reader) -> tuple[str, int]:
    packed = source.take(_size(source, ADDRESS_SIZES, "address"))
    return show_address(packed), source.number(U16)


def show_address(packed: bytes) -> str:
    """Return the text of 4 or 16 bytes, as a configuration has it."""
    address = ipaddress.ip_address(packed)
    mapped = getattr(address, "ipv4_mapped", None)
    return f"::ffff:{mapped}" if mapped else str(address)


def encode_failure(failure: Failure) -> bytes:
    """Return the bytes of a failure's record."""
    return _text(failure.path) + _option(failure.key_dir) + U8.pack(failure.delete)


def decode_failure(data: bytes) -> Failure:
    """Return the failure in these bytes."""
    source = Reader(data)
    failure = Failure(text(source.counted(U64)), _read_option(source), source.number(U8) == 1)
    source.end()
    return failure


def backend_hash(backend: Backend) -> str:
    """Return the name under which upstream marks a backend as replaced."""
    place, password = backend
    return short_checksum(f"{place.address}{place.namespace or ''}{password or ''}".encode()).hex()


def reservation_id(namespace: str) -> int | None:
    """Return the number of the reservation that a namespace `12-3` is from."""
    number, dash, part = namespace.partition("-")
    return int(number) if dash and _is_number(number) and _is_number(part) else None


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit()
