"""Compression: zstandard for chunks of our format, Snappy's framing format for upstream's.

Upstream writes nothing at all for an empty file, not even the stream identifier.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum

import cramjam
import zstandard

from zstor.errors import DamagedError

LEVEL = 3
SNAPPY_PART = 1 << 16


class Compression(IntEnum):
    """How a chunk is compressed: its first byte, under the encryption."""

    NONE = 0
    ZSTD = 1
    SNAPPY = 2


def compress(data: bytes, kind: Compression) -> bytes:
    """Return a byte that says how, and the compressed data, or the data if that is shorter."""
    packed = data
    if kind is Compression.ZSTD:
        packed = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True).compress(data)
    elif kind is Compression.SNAPPY:
        packed = bytes(cramjam.snappy.compress(data))
    if len(packed) >= len(data):
        kind, packed = Compression.NONE, data
    return bytes([kind]) + packed


def decompress(data: bytes, size: int) -> bytes:
    """Return what `compress` was given, whose size is known."""
    try:
        plain = _READERS[data[0]](data[1:], size)
    except (IndexError, zstandard.ZstdError, cramjam.DecompressionError) as error:
        raise DamagedError(f"cannot decompress a chunk: {error}") from error
    if len(plain) != size:
        raise DamagedError(f"cannot decompress a chunk: {len(plain)} bytes instead of {size}")
    return plain


def _unpack_zstd(data: bytes, size: int) -> bytes:
    found = zstandard.frame_content_size(data)
    if found != size:
        raise zstandard.ZstdError(f"the frame has {found} bytes instead of {size}")
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=size)


def _unpack_snappy(data: bytes, size: int) -> bytes:
    return b"".join(limited(unframe([data]), size))


_READERS: tuple[Callable[[bytes, int], bytes], ...] = (
    lambda data, _: data,
    _unpack_zstd,
    _unpack_snappy,
)


def frame(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Return the parts of a file in Snappy's framing format, as upstream writes it.

    A frame ends after 65,536 bytes, however the file was read.
    """
    packer = cramjam.snappy.Compressor()
    rest = b""
    for part in parts:
        rest += part
        whole = len(rest) - len(rest) % SNAPPY_PART
        for start in range(0, whole, SNAPPY_PART):
            packer.compress(rest[start : start + SNAPPY_PART])
            yield bytes(packer.flush())
        rest = rest[whole:]
    if rest:
        packer.compress(rest)
        yield bytes(packer.flush())


HEADER = 4
MAX_FRAME = HEADER + 4 + 76_490  # the longest compressed form of 65,536 bytes, and its checksum
IDENTIFIER = b"\xff\x06\x00\x00sNaPpY"


def unframe(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Return the content of a stream in Snappy's framing format; damage is a `DamagedError`.

    https://github.com/google/snappy/blob/main/framing_format.txt
    """
    buffer = bytearray()
    for part in parts:
        buffer += part
        while (end := _frame_end(buffer)) and len(buffer) >= end:
            content = bytes(buffer[:end])
            del buffer[:end]
            yield _unframe_one(content)
    if buffer:
        raise DamagedError("cannot decompress: the Snappy stream is cut off")


def _frame_end(buffer: bytearray) -> int:
    """Return where the first frame ends; 0 before its header is whole."""
    if len(buffer) < HEADER:
        return 0
    end = HEADER + int.from_bytes(buffer[1:HEADER], "little")
    if end > MAX_FRAME and buffer[0] < 0x80:
        raise DamagedError("cannot decompress: a Snappy frame is too long")
    return end


def _unframe_one(content: bytes) -> bytes:
    if content[0] == 0xFF and content != IDENTIFIER:
        raise DamagedError("cannot decompress: this is no Snappy stream")
    if content[0] >= 0x80:  # the identifier, padding, and what readers shall skip
        return b""
    try:
        return bytes(cramjam.snappy.decompress(IDENTIFIER + content))
    except cramjam.DecompressionError as error:
        raise DamagedError(f"cannot decompress: {error}") from error


def limited(parts: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the parts; raise `DamagedError` when they are more than `size` bytes."""
    for part in parts:
        size -= len(part)
        if size < 0:
            raise DamagedError("cannot decompress: there is more than was stored")
        yield part
