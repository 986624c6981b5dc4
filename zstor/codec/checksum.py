"""BLAKE2b, without a key: 16 bytes as upstream has it, 32 for whole files of our own format."""

from hashlib import blake2b

SHORT = 16
LONG = 32


def short_checksum(data: bytes | bytearray | memoryview) -> bytes:
    """Return the 16-byte checksum of a shard, of a piece of metadata, or of a path."""
    return blake2b(data, digest_size=SHORT).digest()


def start_checksum(size: int = SHORT) -> blake2b:
    """Return a hash to feed with the parts of a file."""
    return blake2b(digest_size=size)
