"""The blocks of older flists: chunk -> Snappy -> XXTEA, named by 16-byte hashes.

    key = BLAKE2b-128(plain); data = XXTEA(key, Snappy raw(plain)); id = BLAKE2b-128(data)

The packed length is the last word before encryption.
"""

from hashlib import blake2b

import cramjam

from flist.errors import BlockError
from flist.format.legacy.cipher import decrypt_words, encrypt_words
from flist.model import Block

LEGACY_HASH_BYTES = 16
WORD = 4
MIN_BYTES = 2 * WORD


def legacy_digest(data: bytes) -> bytes:
    """Return BLAKE2b-128 of `data`."""
    return blake2b(data, digest_size=LEGACY_HASH_BYTES).digest()


def encrypt(data: bytes, key: bytes) -> bytes:
    """Return `data` and its length (the last word), encrypted with XXTEA."""
    words = data + bytes(-len(data) % WORD) + len(data).to_bytes(WORD, "little")
    return encrypt_words(words.rjust(MIN_BYTES, b"\0"), key)


def decrypt(data: bytes, key: bytes) -> bytes:
    """Return the data that `encrypt` was given; raises `BlockError` if the length is impossible."""
    if len(data) % WORD or len(data) < MIN_BYTES or len(key) != LEGACY_HASH_BYTES:
        raise BlockError("a block is refused: its length is not a whole number of words")
    words = decrypt_words(data, key)
    length, room = int.from_bytes(words[-WORD:], "little"), len(words) - WORD
    if not room - WORD < length <= room:
        raise BlockError("a block is refused: the length in its last word is wrong")
    return words[:length]


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
