"""The registry's own key, which signs the heads of the log and the files of availability."""

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from common.files import read_regular, write_atomic
from common.locks import hold_lock
from registry.errors import SettingsError

FILE_NAME = "registry.key"
KEY_MODE = 0o600
LOCK_S = 30


class RegistryKey:
    """The private key, its public one, and a secret that only its owners can know."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self.sign = private.sign
        self.public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        seed = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        self.secret = hashlib.sha256(b"Zero-OS registry nonces\0" + seed).digest()


def load_key(file: Path | None, state: Path) -> RegistryKey:
    """Return the key in `file`, else the one in the folder `state`, where it is made if need be.

    Raises `SettingsError`.
    """
    if file is not None:
        return RegistryKey(read_key(file))
    path = state / FILE_NAME
    with hold_lock(state / f".{FILE_NAME}.lock", "making the registry's key", LOCK_S):
        if not path.exists():
            form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            write_atomic(path, Ed25519PrivateKey.generate().private_bytes(*form), KEY_MODE)
    return RegistryKey(read_key(path))


def read_key(path: Path) -> Ed25519PrivateKey:
    """Return a private key in PEM. Raises `SettingsError`."""
    try:
        key = load_pem_private_key(read_file(path), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(
            f"cannot use {path}: it is no Ed25519 key without a password",
            hint="openssl genpkey -algorithm ed25519 -out FILE makes one",
        )
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Return a public key in PEM. Raises `SettingsError`."""
    try:
        key = load_pem_public_key(read_file(path))
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(
            f"cannot use {path}: it is no Ed25519 public key",
            hint="openssl pkey -in KEY -pubout makes one of a private key",
        )
    return key


def read_file(path: Path) -> bytes:
    """Return the content of a key's file. Raises `SettingsError`."""
    try:
        return read_regular(path)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
