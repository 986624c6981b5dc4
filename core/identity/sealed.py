"""What stands in the TPM's NV index: a sealed seed, and the policy that opens it. Pure.

8 bytes   "ZOS-SEED", written last: an index without it was not finished
1         version, 1
1         policy: 1 = a release's signature and PCR 7, 2 = PCR 7
32        SHA-256 of the release's key (zeros for policy 2)
2 + n     the sealed object's TPM2B_PUBLIC, with its length before it
2 + n     its TPM2B_PRIVATE, likewise
...       zeros
32        SHA-256 of all before
"""

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum

from core.identity.model import IdentityError

MAGIC = b"ZOS-SEED"
VERSION = 1
SIZE = 512
DIGEST_BYTES = 32
HEAD = struct.Struct(">8sBB32s")
EMPTY = (bytes(len(MAGIC)), b"\xff" * len(MAGIC))


class Policy(IntEnum):
    """What has to hold for the seed to open."""

    RELEASE = 1
    STATE = 2


@dataclass(frozen=True)
class Sealed:
    """A sealed seed: the object's two halves, which only this TPM can load."""

    policy: Policy
    signer: bytes
    public: bytes
    private: bytes


def encode(sealed: Sealed) -> bytes:
    """Return the index's content."""
    data = HEAD.pack(MAGIC, VERSION, sealed.policy, sealed.signer)
    for part in (sealed.public, sealed.private):
        data += struct.pack(">H", len(part)) + part
    if len(data) > SIZE - DIGEST_BYTES:
        raise IdentityError("cannot keep the seed in the TPM: its object is too large")
    data = data.ljust(SIZE - DIGEST_BYTES, b"\0")
    return data + hashlib.sha256(data).digest()


def decode(data: bytes) -> Sealed | None:
    """Return what an index's content has; None if it was not finished. Raises `IdentityError`."""
    if data[: len(MAGIC)] in EMPTY:
        return None
    body, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    try:
        if len(data) != SIZE or hashlib.sha256(body).digest() != digest:
            raise ValueError
        magic, version, policy, signer = HEAD.unpack_from(body)
        if magic != MAGIC or version != VERSION:
            raise ValueError
        public, rest = split(body[HEAD.size :])
        private, _ = split(rest)
        return Sealed(Policy(policy), signer, public, private)
    except (ValueError, struct.error):
        raise IdentityError("the sealed seed is damaged, or of a newer release") from None


def split(data: bytes) -> tuple[bytes, bytes]:
    """Return the bytes that the length before them counts, and the rest."""
    (size,) = struct.unpack_from(">H", data)
    if size > len(data) - 2:
        raise ValueError
    return data[2 : 2 + size], data[2 + size :]
