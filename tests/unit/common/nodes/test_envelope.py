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
        with pytest.raises(EnvelopeError, match="object"):
            open_envelope(signed(payload), "report")


@pytest.mark.parametrize(
    "value",
    [b"1e999", b"-1e999", b'"\\ud800"', b'"\\uDfff!"', b'"\xed\xa0\x80"', b'{"\\ud800": 1}'],
)
def test_what_cannot_be_written_as_json_again_is_refused(value: bytes) -> None:
    with pytest.raises(EnvelopeError):
        open_envelope(signed(b'{"a": [' + value + b"]}"), "report")


def test_whole_surrogate_pairs_and_great_numbers_are_taken() -> None:
    found = open_envelope(signed(b'{"a": "\\ud83d\\ude00 \\\\ud800", "b": 1e300}'), "report")
    assert found.payload == {"a": "\U0001f600 \\ud800", "b": 1e300}


def signed(payload: bytes) -> bytes:
    data = b"Zero-OS report\0" + payload
    fields = {"payload": payload, "key": PUBLIC, "signature": KEY.sign(data)}
    return json.dumps({k: base64.b64encode(v).decode() for k, v in fields.items()}).encode()
