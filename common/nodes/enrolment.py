"""Enrolment tokens: a bootstrap server's word that it made an image for a farm.

A node gets the token in its kernel command line, and shows it with its reports: to the bootstrap
server, and to a registry inside of a report that the node's key signs, which binds node and farm.
A token binds farm, run mode and all other options to the image. Everybody can download a farm's
image, so it proves where the image came from, and not who runs it. docs/boot-log.md has the format.

The same options give the same token: Ed25519 signatures are deterministic.
"""

import base64
import binascii
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common.errors import ZosError
from common.runmodes import RUN_MODES

VERSION = 1
CONTEXT = b"Zero-OS enrolment\0"
HEAD = struct.Struct(">BI32s")  # version, farm, SHA-256 of the options; the run mode follows
SIGNATURE_BYTES = 64
TOKEN_MAX_CHARS = 200

_TOKEN = re.compile(r"[A-Za-z0-9_-]+")


class TokenError(ZosError):
    """A text that is no token of this key."""

    http_status = 403


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a valid token says."""

    farm: int
    run_mode: str
    options: str  # the identity of the image's options


def make_token(sign: Callable[[bytes], bytes], enrolment: Enrolment) -> str:
    """Return the token; `sign` is the method of the server's private key."""
    head = HEAD.pack(VERSION, enrolment.farm, bytes.fromhex(enrolment.options))
    payload = head + enrolment.run_mode.encode()
    return encode(payload + sign(CONTEXT + payload))


def verify_token(key: Ed25519PublicKey, token: str) -> Enrolment:
    """Return what a token says. Raises `TokenError` if it is not one of this key."""
    data = decode(token)
    payload, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    try:
        key.verify(signature, CONTEXT + payload)
    except InvalidSignature:
        raise refusal() from None
    version, farm, options = HEAD.unpack_from(payload)
    run_mode = payload[HEAD.size :].decode("ascii", errors="replace")
    if version != VERSION or run_mode not in RUN_MODES:
        raise refusal()
    return Enrolment(farm, run_mode, options.hex())


def encode(data: bytes) -> str:
    """Return a token's text."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decode(token: str) -> bytes:
    """Return a token's bytes: its one form, and long enough. Raises `TokenError`."""
    try:
        if len(token) > TOKEN_MAX_CHARS or not _TOKEN.fullmatch(token):
            raise refusal()
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except binascii.Error:
        raise refusal() from None
    if encode(data) != token or len(data) <= HEAD.size + SIGNATURE_BYTES:
        raise refusal()
    return data


def refusal() -> TokenError:
    """Return the error of every text that is not a token of the key."""
    return TokenError(
        "the enrolment token is not one of this server",
        hint="boot from an image that this server has made",
    )
