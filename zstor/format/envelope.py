"""Metadata as the stores have it: a version in the clear, and the rest encrypted.

| field | bytes |
| --- | --- |
| magic | 4: `ZSM1` |
| version | 8, big-endian: one more than the version that it replaces |
| writer | 8, random: decides between two writers of the same version |
| metadata | nonce 12, ciphertext, tag 16: AES-256-GCM |

Magic, version, writer and the key under which the value is are authenticated with it: a store can
keep back a value, but neither change it, nor renumber it, nor give it under another key.
"""

import os
import struct
from typing import NamedTuple

from zstor.codec.cipher import seal, unseal
from zstor.errors import DamagedError

HEADER = struct.Struct(">4sQQ")
MAGIC = b"ZSM1"


class Version(NamedTuple):
    """A version of a value; the larger one is the newer one."""

    number: int
    writer: int


NONE = Version(0, 0)


def next_version(version: Version) -> Version:
    """Return a version that is newer, of this writer."""
    return Version(version.number + 1, int.from_bytes(os.urandom(8), "big"))


def pack(metadata: bytes, version: Version, key: bytes, name: bytes) -> bytes:
    """Return the value to store under `name`."""
    head = HEADER.pack(MAGIC, *version)
    return head + seal(key, metadata, head + name)


def unpack(value: bytes, key: bytes, name: bytes) -> tuple[Version, bytes]:
    """Return version and metadata of the value under `name`; raise `DamagedError` for others."""
    if len(value) < HEADER.size or not value.startswith(MAGIC):
        raise DamagedError("cannot read metadata: it is of another format")
    head = value[: HEADER.size]
    return Version(*HEADER.unpack(head)[1:]), unseal(key, value[HEADER.size :], head + name)
