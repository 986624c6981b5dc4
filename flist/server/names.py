"""How a server names what is uploaded: plain blocks of a fixed size, and files made of them.

A block is named by its BLAKE2b-256, a file by the SHA-256 of its blocks' names, one after the other
in hex. Source: upstream's rfs server.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from flist.blocks.codec import digest

DEFAULT_BLOCK_BYTES = 1 << 20
MAX_BLOCK_BYTES = 64 << 20
BLOCK_NAME = re.compile(r"[0-9a-f]{64}")


def name_block(data: bytes) -> str:
    """Return the name of a block."""
    return digest(data).hex()


def name_file(names: Iterable[str]) -> str:
    """Return the name of the file that consists of the blocks `names`."""
    return hashlib.sha256("".join(names).encode()).hexdigest()


def split_file(stream: BinaryIO, block_bytes: int) -> Iterator[bytes]:
    """Yield the blocks of a file."""
    while block := stream.read(block_bytes):
        yield block
