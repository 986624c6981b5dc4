"""Enrolment tokens: this server's word that it made an image for a farm.

A script hands the token to the node, which shows it with its reports (docs/boot-log.md has the
format). It binds farm, run mode and all other options to the image. Everybody can download a farm's
image, so the token proves where the image came from, and not who runs it.

The same options give the same token: Ed25519 signatures are deterministic.
"""

import base64
import binascii
import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bootstrap_server.errors import InputError, SettingsError
from bootstrap_server.options.model import Options
from common.files import read_regular, write_atomic
from common.locks import hold_lock

VERSION = 1
CONTEXT = b"Zero-OS enrolment\0"
HEAD = struct.Struct(">BI32s")  # version, farm, SHA-256 of the options; the run mode follows
SIGNATURE_BYTES = 64
TOKEN_MAX_CHARS = 200
TOKENS_KEPT = 1024  # about 1 MB
FILE_NAME = "enrolment.key"
LOCK_S = 30
KEY_MODE = 0o600

_TOKEN = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a valid token says."""

    farm: int
    run_mode: str
    options: str  # the identity of the image's options


class Enroller:
    """Makes and verifies the tokens of one key; without a key there are none."""

    def __init__(self, key: Ed25519PrivateKey | None) -> None:
        self.key = key
        self.make_token = lru_cache(TOKENS_KEPT)(self._make_token)

    def _make_token(self, options: Options) -> str:
        """Return the token of an image; empty without a farm, which it would be for."""
        if self.key is None or options.farm is None:
            return ""
        head = HEAD.pack(VERSION, options.farm, bytes.fromhex(options.identity))
        payload = head + options.run_mode.encode()
        signed = payload + self.key.sign(CONTEXT + payload)
        return base64.urlsafe_b64encode(signed).decode().rstrip("=")

    def verify(self, token: str) -> Enrolment | None:
        """Return what a token says; None without a key. Raises `InputError` for a false one."""
        if self.key is None:
            return None
        data = decode(token)
        payload, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
        try:
            self.key.public_key().verify(signature, CONTEXT + payload)
        except InvalidSignature:
            raise refusal() from None
        version, farm, identity = HEAD.unpack_from(payload)
        if version != VERSION:
            raise refusal()
        return Enrolment(farm, payload[HEAD.size :].decode(), identity.hex())


def decode(token: str) -> bytes:
    """Return a token's bytes: its one form, and long enough. Raises `InputError`."""
    try:
        if len(token) > TOKEN_MAX_CHARS or not _TOKEN.fullmatch(token):
            raise refusal()
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except binascii.Error:
        raise refusal() from None
    is_canonical = base64.urlsafe_b64encode(data).decode().rstrip("=") == token
    if not is_canonical or len(data) <= HEAD.size + SIGNATURE_BYTES:
        raise refusal()
    return data


def refusal() -> InputError:
    """Return the error of every token that is not one of this server."""
    return InputError(
        "enrol",
        "the enrolment token is not one of this server",
        hint="boot from an image that this server has made",
    )


def load_key(file: Path | None, state: Path | None) -> Ed25519PrivateKey | None:
    """Return the key in `file`, else the one in the folder `state`, where it is made if need be.

    None if there is neither. Raises `SettingsError`.
    """
    if file is not None:
        return read_key(file)
    if state is None:
        return None
    path = state / FILE_NAME
    with hold_lock(state / f".{FILE_NAME}.lock", "making the enrolment key", LOCK_S):
        if not path.exists():
            form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            write_atomic(path, Ed25519PrivateKey.generate().private_bytes(*form), KEY_MODE)
    return read_key(path)


def read_key(path: Path) -> Ed25519PrivateKey:
    """Return a private key in PEM. Raises `SettingsError`."""
    try:
        key = load_pem_private_key(read_regular(path), None)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(
            f"cannot use {path}: it is no Ed25519 key without a password",
            hint="openssl genpkey -algorithm ed25519 -out FILE makes one",
        )
    return key
