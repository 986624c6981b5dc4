"""Data keys, and how they are wrapped for the one who may read.

Every stored file has its own random key. It is wrapped for a recipient: HPKE (RFC 9180) in base
mode with the hybrid of ML-KEM-768 and X25519 (X-Wing, draft-connolly-cfrg-xwing-kem), HKDF-SHA256
and AES-256-GCM, as `cryptography` has them. Who wants to read it must break both. Without a
recipient it is wrapped by the configured AES key.
"""

import base64
import binascii
import os
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common.files import read_regular
from zstor.codec.cipher import KEY, seal, unseal
from zstor.errors import DamagedError, ZstorError

PUBLIC = "zstor-public-key-1"
SECRET = "zstor-secret-key-1"  # noqa: S105  (the name of a format)
SEED = 64  # of ML-KEM: d and z of FIPS 203
POINT = 32
ENCAPSULATION_KEY = 1184
SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class Wrap(IntEnum):
    """How a data key is wrapped."""

    AES = 1
    HYBRID = 2


class Recipient(NamedTuple):
    """The public key of the one who may read."""

    mlkem: bytes
    x25519: bytes

    def text(self) -> str:
        """Return the line that a public key's file has."""
        return f"{PUBLIC} {base64.b64encode(self.mlkem + self.x25519).decode()}\n"

    def wrap(self, key: bytes, place: bytes) -> bytes:
        """Return `key` for this recipient, bound to `place`."""
        public = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(self.mlkem),
            X25519PublicKey.from_public_bytes(self.x25519),
        )
        return SUITE.encrypt(key, public, info=place)


class Identity(NamedTuple):
    """The secret key of the one who may read."""

    seed: bytes
    x25519: bytes

    def text(self) -> str:
        """Return the line that a secret key's file has."""
        return f"{SECRET} {base64.b64encode(self.seed + self.x25519).decode()}\n"

    def recipient(self) -> Recipient:
        """Return the public key."""
        mlkem = MLKEM768PrivateKey.from_seed_bytes(self.seed).public_key()
        point = X25519PrivateKey.from_private_bytes(self.x25519).public_key()
        return Recipient(mlkem.public_bytes_raw(), point.public_bytes_raw())

    def unwrap(self, wrapped: bytes, place: bytes) -> bytes:
        """Return the key that was wrapped for this identity's recipient."""
        secret = MLKEM768X25519PrivateKey(
            MLKEM768PrivateKey.from_seed_bytes(self.seed),
            X25519PrivateKey.from_private_bytes(self.x25519),
        )
        try:
            return SUITE.decrypt(wrapped, secret, info=place)
        except (InvalidTag, ValueError) as error:
            raise DamagedError("cannot unwrap the data key: it is for another key") from error


def make_identity() -> Identity:
    """Return a new secret key."""
    return Identity(os.urandom(SEED), os.urandom(POINT))


def make_data_key() -> bytes:
    """Return the key of one stored file."""
    return os.urandom(KEY)


def read_identity(path: Path) -> Identity:
    """Return the secret key in a file."""
    raw = _read(path, SECRET, SEED + POINT)
    return Identity(raw[:SEED], raw[SEED:])


def read_recipient(path: Path) -> Recipient:
    """Return the public key in a file."""
    raw = _read(path, PUBLIC, ENCAPSULATION_KEY + POINT)
    try:
        MLKEM768PublicKey.from_public_bytes(raw[:ENCAPSULATION_KEY])
    except ValueError as error:
        raise ZstorError(f"cannot use {path}: its public key is invalid") from error
    return Recipient(raw[:ENCAPSULATION_KEY], raw[ENCAPSULATION_KEY:])


def _read(path: Path, kind: str, size: int) -> bytes:
    """Return the bytes of a key file: one line with its kind and base64."""
    words = read_regular(path)[:4096].decode("ascii", "replace").split()
    try:
        raw = base64.b64decode(words[1], validate=True) if len(words) == 2 else b""
    except binascii.Error:
        raw = b""
    if len(raw) != size or words[0] != kind:
        raise ZstorError(
            f"cannot use {path}: no {kind} in it", hint="make a pair with `zos zstor keygen FILE`"
        )
    return raw


def wrap_with_key(own: bytes, key: bytes, place: bytes) -> bytes:
    """Return `key` under the configured AES key."""
    return seal(derive(own, b"wrap"), key, place)


def unwrap_with_key(own: bytes, wrapped: bytes, place: bytes) -> bytes:
    """Return the key that `wrap_with_key` was given."""
    return unseal(derive(own, b"wrap"), wrapped, place)


def derive(key: bytes, purpose: bytes) -> bytes:
    """Return the key for one purpose (HKDF-SHA256, RFC 5869), so that no key has two."""
    return HKDF(hashes.SHA256(), KEY, salt=None, info=b"zstor 1 " + purpose).derive(key)
