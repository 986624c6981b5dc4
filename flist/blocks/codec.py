"""Encodes and decodes blocks: chunk -> Snappy -> AES-256-GCM -> a block named by its own hash.

    key = BLAKE2b-256(plain)
    data = AES-256-GCM(key, nonce = key[0:12], no associated data)(Snappy raw(plain)) + tag
    id = BLAKE2b-256(data)
    check = BLAKE3-256(data), our addition: it proves what the id proves, in a sixth of the time

Source: upstream's rfs. The encryption is convergent: equal chunks give equal blocks. So a store can
confirm that it holds a chunk whose plaintext it knows.
"""

import threading
from hashlib import blake2b
from typing import NamedTuple

import cramjam
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from flist.blocks.blake2 import find_fastest
from flist.errors import BlockError
from flist.model import HASH_BYTES, MAX_BLOCK_BYTES, Block

NONCE_BYTES = 12
of_thread = threading.local()


class Encoded(NamedTuple):
    """A block and its encrypted bytes."""

    block: Block
    data: bytes


def digest(data: bytes | memoryview, size: int = HASH_BYTES) -> bytes:
    """Return the BLAKE2b of `data`: 32 bytes, or 16 for blocks of legacy flists."""
    if size == HASH_BYTES and isinstance(data, bytes):
        return find_fastest()(data)
    return blake2b(data, digest_size=size).digest()


def hash_check(data: bytes) -> bytes:
    """Return the `Block.check` of a block's encrypted bytes."""
    return blake3(data).digest()


def get_buffer() -> bytearray:
    """Return this thread's buffer for a compressed chunk. A new one would be zeroed each time."""
    try:
        buffer: bytearray = of_thread.buffer
    except AttributeError:
        buffer = of_thread.buffer = bytearray(MAX_BLOCK_BYTES)
    return buffer


def encode(plain: bytes | memoryview, key: bytes | None = None) -> Encoded:
    """Return the block of `plain` (1 byte to 512 KiB). `key` saves hashing it if known."""
    if key is None:
        key = digest(plain)
    buffer = get_buffer()
    size = cramjam.snappy.compress_raw_into(plain, buffer)
    data = AESGCM(key).encrypt(key[:NONCE_BYTES], memoryview(buffer)[:size], None)
    return Encoded(Block(digest(data), key, hash_check(data)), data)


def check_arrival(block_id: bytes, data: bytes) -> None:
    """Raise `BlockError` unless `data` is the block named `block_id`."""
    if len(data) > MAX_BLOCK_BYTES:
        raise BlockError(f"block {block_id.hex()} is refused: it has {len(data)} bytes")
    if digest(data, len(block_id)) != block_id:
        raise BlockError(f"block {block_id.hex()} is refused: its bytes have another hash")


def decode(block: Block, data: bytes, size: int) -> bytes:
    """Return the `size` plain bytes of `block`, whose encrypted bytes are `data`.

    The caller has checked the id of `data`, now or before it was cached. The id proves every bit
    that was packed, and the tag reveals damage and a wrong key. So a comparison of the plain hash
    with the key would prove nothing more; `flist.unpack.verify` makes it. Raises `BlockError`.
    """
    if len(block.id) != HASH_BYTES:
        from flist.format.legacy.blocks import decode_legacy

        return decode_legacy(block, data, size)
    packed = decrypt(block, data, size)
    try:
        return bytes(cramjam.snappy.decompress_raw(packed))
    except cramjam.DecompressionError as error:
        raise BlockError(f"block {block.id.hex()} is refused: it does not unpack") from error


def decode_into(block: Block, data: bytes, target: memoryview) -> None:
    """Fill `target` with what `decode` returns. Raises `BlockError`; then the content of `target`
    is undefined."""
    if len(block.id) != HASH_BYTES:
        target[:] = decode(block, data, len(target))
        return
    packed = decrypt(block, data, len(target))
    try:
        cramjam.snappy.decompress_raw_into(packed, target)
    except cramjam.DecompressionError as error:
        raise BlockError(f"block {block.id.hex()} is refused: it does not unpack") from error


def decrypt(block: Block, data: bytes, size: int) -> bytes:
    """Return the compressed chunk in `data`. Raises `BlockError` unless its tag is right and its
    header says that it decompresses to `size` bytes."""
    try:
        packed = AESGCM(block.key).decrypt(block.key[:NONCE_BYTES], data, None)
    except (InvalidTag, ValueError) as error:
        raise BlockError(f"block {block.id.hex()} is refused: its tag does not match") from error
    try:
        if cramjam.snappy.decompress_raw_len(packed) != size:
            raise BlockError(f"block {block.id.hex()} is refused: it is not {size} bytes long")
    except cramjam.DecompressionError as error:
        raise BlockError(f"block {block.id.hex()} is refused: it does not unpack") from error
    return packed
