"""Signed messages: JSON with the payload's bytes, the Ed25519 key, and its signature over them.

The signature covers `Zero-OS KIND` and a zero byte before the payload, so a message of one kind is
never taken for another. The payload travels as bytes, so nothing depends on how JSON is written.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common.errors import ZosError

MAX_BYTES = 256 << 10
KEY_BYTES = 32
_KIND = re.compile(r"[a-z][a-z-]{0,30}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class EnvelopeError(ZosError):
    """A message that is malformed."""

    http_status = 422


class ForgedError(EnvelopeError):
    """A message whose signature is wrong."""

    http_status = 403


@dataclass(frozen=True)
class Envelope:
    """A verified message: who signed it, and what it says."""

    key: bytes
    payload: Mapping[str, Any]
    signed: bytes
    signature: bytes

    @property
    def fields(self) -> dict[str, str]:
        """Return the message as it travels, in its one form."""
        return show_fields(self.signed, self.key, self.signature)


def seal(
    sign: Callable[[bytes], bytes], public: bytes, kind: str, payload: Mapping[str, Any]
) -> bytes:
    """Return the message of `payload`; `sign` is the method of the private key to `public`."""
    data = json.dumps(payload, separators=(",", ":"), allow_nan=False).encode()
    signature = sign(signed_bytes(kind, data))
    return json.dumps(show_fields(data, public, signature)).encode()


def open_envelope(data: bytes, kind: str) -> Envelope:
    """Return the message in `data` if it is a good one of this kind.

    Raises `EnvelopeError`, and `ForgedError` for a wrong signature. Whose key may sign is the
    caller's question.
    """
    if len(data) > MAX_BYTES:
        raise EnvelopeError(f"cannot read the message: it has more than {MAX_BYTES} bytes")
    fields = parse_object(data)
    if set(fields) != {"payload", "key", "signature"}:
        raise EnvelopeError("cannot read the message: it has payload, key and signature only")
    payload, key, signature = (decode(fields, name) for name in ("payload", "key", "signature"))
    if len(key) != KEY_BYTES:
        raise EnvelopeError("cannot read the message: its key is no Ed25519 key")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed_bytes(kind, payload))
    except (InvalidSignature, ValueError):
        raise ForgedError("the message's signature is wrong") from None
    return Envelope(key, parse_object(payload), payload, signature)


def show_fields(payload: bytes, key: bytes, signature: bytes) -> dict[str, str]:
    """Return the fields of a message, each in base64."""
    fields = {"payload": payload, "key": key, "signature": signature}
    return {name: base64.b64encode(value).decode() for name, value in fields.items()}


def signed_bytes(kind: str, payload: bytes) -> bytes:
    """Return what is signed."""
    assert _KIND.fullmatch(kind), kind
    return f"Zero-OS {kind}".encode() + b"\0" + payload


def parse_object(data: bytes) -> dict[str, Any]:
    """Return an object in JSON that can be written as JSON in UTF-8 again."""
    try:
        text = data.decode()
        value = json.loads(text, parse_constant=parse_finite, parse_float=parse_finite)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise EnvelopeError("cannot read the message: it is not an object in JSON")
    if _SURROGATE.search(text):
        check_texts(value)
    return value


def parse_finite(word: str) -> float:
    """Return a number. Raises `ValueError` for one that JSON does not have, or that is too big."""
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(word)
    return number


def check_texts(value: Mapping[str, Any]) -> None:
    """Raise `EnvelopeError` if a text has half a surrogate pair, which UTF-8 cannot have."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise EnvelopeError("cannot read the message: a text in it cannot be UTF-8") from error


def decode(fields: Mapping[str, Any], name: str) -> bytes:
    """Return the bytes of a field in base64."""
    try:
        return base64.b64decode(str(fields[name]), validate=True)
    except (binascii.Error, ValueError) as error:
        raise EnvelopeError(f"cannot read the message: {name} is not base64") from error
