"""The blocks of older flists: chunk -> Snappy -> XXTEA, named by 16-byte hashes.

    key = BLAKE2b-128(plain); data = XXTEA(key, Snappy raw(plain)); id = BLAKE2b-128(data)

The plain length is the last word before encryption. XXTEA in Python is slow (about 1 MB/s), but
enough to convert old flists to the new format.
"""

import struct
from hashlib import blake2b

import cramjam

from flist.errors import BlockError
from flist.model import Block

LEGACY_HASH_BYTES = 16
DELTA = 0x9E3779B9
MASK = 0xFFFFFFFF


def legacy_digest(data: bytes) -> bytes:
    """Return BLAKE2b-128 of `data`."""
    return blake2b(data, digest_size=LEGACY_HASH_BYTES).digest()


def encrypt(data: bytes, key: bytes) -> bytes:
    """Return `data` and its length (the last word), encrypted with XXTEA."""
    padded = data + bytes(-len(data) % 4)
    words = [*struct.unpack(f"<{len(padded) // 4}I", padded), len(data)]
    if len(words) < 2:
        words = [0, *words]
    k = struct.unpack("<4I", key)
    last = len(words) - 1
    z, total = words[last], 0
    for _ in range(6 + 52 // len(words)):
        total = (total + DELTA) & MASK
        e = total >> 2 & 3
        for p in range(last + 1):
            y = words[p + 1] if p < last else words[0]
            mix = ((z >> 5 ^ y << 2) + (y >> 3 ^ z << 4)) ^ ((total ^ y) + (k[p & 3 ^ e] ^ z))
            z = words[p] = (words[p] + mix) & MASK
    return struct.pack(f"<{len(words)}I", *words)


def decrypt(data: bytes, key: bytes) -> bytes:
    """Return the data that `encrypt` was given; raises `BlockError` if the length is impossible."""
    if len(data) % 4 or len(data) < 8 or len(key) != LEGACY_HASH_BYTES:
        raise BlockError("a block is refused: its length is not a whole number of words")
    words = list(struct.unpack(f"<{len(data) // 4}I", data))
    k = struct.unpack("<4I", key)
    last = len(words) - 1
    total = (6 + 52 // len(words)) * DELTA & MASK
    y = words[0]
    while total:
        e = total >> 2 & 3
        for p in range(last, -1, -1):
            z = words[p - 1] if p else words[last]
            mix = ((z >> 5 ^ y << 2) + (y >> 3 ^ z << 4)) ^ ((total ^ y) + (k[p & 3 ^ e] ^ z))
            y = words[p] = (words[p] - mix) & MASK
        total = (total - DELTA) & MASK
    length = words.pop()
    if not len(words) * 4 - 4 < length <= len(words) * 4:
        raise BlockError("a block is refused: the length in its last word is wrong")
    return struct.pack(f"<{len(words)}I", *words)[:length]


def encode_legacy(plain: bytes) -> tuple[Block, bytes]:
    """Return the block of `plain` in the older format, and its bytes in a store."""
    key = legacy_digest(plain)
    data = encrypt(bytes(cramjam.snappy.compress_raw(plain)), key)
    return Block(legacy_digest(data), key), data


def decode_legacy(block: Block, data: bytes, size: int) -> bytes:
    """Return the `size` plain bytes of `block`, checked; raises `BlockError`."""
    packed = decrypt(data, block.key)
    try:
        if cramjam.snappy.decompress_raw_len(packed) != size:
            raise BlockError(f"block {block.id.hex()} is refused: it is not {size} bytes long")
        plain = bytes(cramjam.snappy.decompress_raw(packed))
    except cramjam.DecompressionError as error:
        raise BlockError(f"block {block.id.hex()} is refused: it does not unpack") from error
    if legacy_digest(plain) != block.key:
        raise BlockError(f"block {block.id.hex()} is refused: its content has another hash")
    return plain
