"""Signed messages: what is good, and everything else."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.nodes.envelope import (
    MAX_BYTES,
    EnvelopeError,
    ForgedError,
    open_envelope,
    seal,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()


def message(kind: str = "report", **changes: Any) -> bytes:
    fields = json.loads(seal(KEY.sign, PUBLIC, kind, {"node": "x", "sequence": 1}))
    return json.dumps({k: v for k, v in (fields | changes).items() if v is not None}).encode()


def test_a_good_message_says_who_signed_what() -> None:
    found = open_envelope(message(), "report")
    assert (found.key, found.payload) == (PUBLIC, {"node": "x", "sequence": 1})


def test_a_message_of_another_kind_or_key_or_payload_is_forged() -> None:
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    for data in (
        message("farm"),
        message(key=base64.b64encode(other).decode()),
        message(payload=base64.b64encode(b"{}").decode()),
        message(signature=base64.b64encode(bytes(64)).decode()),
        message(signature=""),
    ):
        with pytest.raises(ForgedError):
            open_envelope(data, "report")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        message(payload=None),
        message(more="x"),
        message(key="AAAA"),
        message(key="!"),
        message(signature=7),
        message() + b"{}",
        b" " * (MAX_BYTES + 1),
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(EnvelopeError):
        open_envelope(data, "report")


def test_a_signed_payload_must_be_an_object() -> None:
    for payload in (b"[]", b"NaN", b'{"a": NaN}'):
        data = b"Zero-OS report\0" + payload
        fields = {"payload": payload, "key": PUBLIC, "signature": KEY.sign(data)}
        coded = {name: base64.b64encode(value).decode() for name, value in fields.items()}
        with pytest.raises(EnvelopeError, match="object"):
            open_envelope(json.dumps(coded).encode(), "report")
