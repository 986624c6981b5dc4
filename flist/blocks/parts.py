"""Parts of a block that can be read alone: for random reads in large files.

Snappy compresses each 64 KiB of a chunk separately, and the cipher runs in counter mode. So a read
of four bytes in the middle of a chunk needs an eighth of the block, if the reader knows where that
part begins in the block and the hash of its encrypted bytes. For each block of a large file a row
of `zos_part` has that of all parts: the length of the compressed part (32-bit little-endian), and
BLAKE3-256 of its encrypted bytes.

Source of the framing: Snappy's format description, and upstream's Snappy (the `snap` crate), whose
`MAX_BLOCK_SIZE` this is.

The codec is imported by the functions that need it: a mount is up before that.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from flist.errors import BlockError, FormatError
from flist.model import MAX_BLOCK_BYTES, Block, Inode

if TYPE_CHECKING:
    from flist.blocks.codec import Encoded

PART_BYTES = 64 * 1024
LARGE_BYTES = 32 << 20
"""A smaller file is soon decoded as a whole, and packing it without parts is faster."""
ENTRY = struct.Struct("<I32s")
CIPHER_BLOCK_BYTES = 16
FIRST_COUNTER = 2
"""GCM's first counter value for data with a nonce of 12 bytes; 1 encrypts the tag."""


class Part(NamedTuple):
    """A part: its place in the block (`start`, `length`), its plain `size`, and the hash of its
    encrypted bytes."""

    start: int
    length: int
    size: int
    hash: bytes


def encode_parts(plain: bytes, key: bytes) -> "tuple[Encoded, bytes]":
    """Return what `flist.blocks.codec.encode` does, and the block's row of `zos_part`."""
    import cramjam
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from flist.blocks.codec import NONCE_BYTES, Encoded, digest, hash_check

    packed = [pack_length(len(plain))]
    for start in range(0, len(plain), PART_BYTES):
        part = plain[start : start + PART_BYTES]
        body = bytes(cramjam.snappy.compress_raw(part))
        packed.append(body[len(pack_length(len(part))) :])
    data = AESGCM(key).encrypt(key[:NONCE_BYTES], b"".join(packed), None)
    row = []
    start = len(packed[0])
    for body in packed[1:]:
        end = start + len(body)
        row.append(ENTRY.pack(len(body), hash_check(data[start:end])))
        start = end
    return Encoded(Block(digest(data), key, hash_check(data)), data), b"".join(row)


def count_parts(chunk_size: int) -> int:
    """Return the number of parts of a chunk."""
    return -(-chunk_size // PART_BYTES)


def find_part(row: bytes, chunk_size: int, number: int) -> Part:
    """Return part `number` of a block whose chunk has `chunk_size` bytes; raises `FormatError`."""
    if len(row) != count_parts(chunk_size) * ENTRY.size:
        raise FormatError("the parts of a block do not fit its chunk")
    start = len(pack_length(chunk_size))
    for place in range(0, number * ENTRY.size, ENTRY.size):
        start += ENTRY.unpack_from(row, place)[0]
    length, part_hash = ENTRY.unpack_from(row, number * ENTRY.size)
    if start + length > MAX_BLOCK_BYTES:
        raise FormatError("a part of a block is not inside it")
    return Part(start, length, min(PART_BYTES, chunk_size - number * PART_BYTES), part_hash)


def decode_part(block: Block, part: Part, data: bytes) -> bytes:
    """Return the plain bytes of a part whose encrypted bytes are `data`; raises `BlockError`."""
    import cramjam
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    from flist.blocks.codec import NONCE_BYTES, hash_check

    if hash_check(data) != part.hash:
        raise BlockError(f"block {block.id.hex()} is refused: a part of it has another hash")
    counter, before = divmod(part.start, CIPHER_BLOCK_BYTES)
    nonce = block.key[:NONCE_BYTES] + (FIRST_COUNTER + counter).to_bytes(4, "big")
    packed = Cipher(AES(block.key), CTR(nonce)).decryptor().update(bytes(before) + data)[before:]
    plain = bytearray(part.size)
    try:
        size = cramjam.snappy.decompress_raw_into(pack_length(part.size) + packed, plain)
    except cramjam.DecompressionError as error:
        raise BlockError(f"block {block.id.hex()} is refused: a part does not unpack") from error
    if size != part.size:
        raise BlockError(f"block {block.id.hex()} is refused: a part has another length")
    return bytes(plain)


def check_parts(block: Block, row: bytes, data: bytes, plain: bytes) -> None:
    """Raise `BlockError` or `FormatError` unless `row` fits a block and its chunk."""
    for number in range(count_parts(len(plain))):
        part = find_part(row, len(plain), number)
        start = number * PART_BYTES
        found = decode_part(block, part, data[part.start : part.start + part.length])
        if found != plain[start : start + PART_BYTES]:
            raise BlockError(f"block {block.id.hex()}: a part of it has other bytes than its chunk")


def rows_of_large_files(
    inodes: Iterable[Inode], blocks: Mapping[int, Sequence[Block]], rows: Mapping[bytes, bytes]
) -> dict[bytes, bytes]:
    """Return the `rows` (by block id) that belong in a flist of these inodes and blocks (by inode
    number). Rows known from elsewhere are left out, so the same tree gives the same flist."""
    large = (inode.ino for inode in inodes if inode.is_file and inode.size > LARGE_BYTES)
    names = (block.id for ino in large for block in blocks.get(ino, ()))
    return {name: rows[name] for name in names if name in rows}


def pack_length(size: int) -> bytes:
    """Return a size as in Snappy's header: seven bits per byte, low bits first."""
    packed = bytearray()
    while size >= 0x80:
        packed.append(size & 0x7F | 0x80)
        size >>= 7
    packed.append(size)
    return bytes(packed)
