"""Quotes of a TPM that does not exist: its key is in this process."""

import base64
import hashlib
import struct
import zlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from common.efi.eventlog import ZERO, parse_log, replay
from common.nodes.quote import (
    AK_HEAD,
    IS_QUOTE,
    MAGIC,
    REGISTERS,
    SELECTION,
    qualified_name,
    qualifying_data,
)


def sized(data: bytes) -> bytes:
    """Return a `TPM2B_`."""
    return struct.pack(">H", len(data)) + data


def attest(public: bytes, log: bytes, extra: bytes) -> bytes:
    """Return the `TPMS_ATTEST` of a boot with this event log."""
    values = replay(parse_log(log))
    digest = hashlib.sha256(b"".join(values.get(number, ZERO) for number in REGISTERS)).digest()
    head = struct.pack(">IH", MAGIC, IS_QUOTE) + sized(qualified_name(public)) + sized(extra)
    return head + struct.pack(">QIIBQ", 1, 2, 0, 1, 7) + SELECTION + sized(digest)


def public_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the key as a `TPMT_PUBLIC`."""
    point = key.public_key().public_numbers()
    return AK_HEAD + sized(point.x.to_bytes(32)) + sized(point.y.to_bytes(32))


def make_quote(
    key: ec.EllipticCurvePrivateKey, log: bytes, node: str, nonce: str
) -> dict[str, Any]:
    """Return a good quote."""
    public = public_of(key)
    said = attest(public, log, qualifying_data(node, nonce))
    fields = {
        "ak": public,
        "attest": said,
        "signature": key.sign(said, ec.ECDSA(SHA256())),
        "event_log": zlib.compress(log),
    }
    return {name: base64.b64encode(value).decode() for name, value in fields.items()}
