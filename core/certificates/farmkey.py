"""The farm's key: a file in PEM on the farmer's machine, and its public part as `farm.key=`."""

import base64
import binascii
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from common.files import open_atomic, read_regular
from core.certificates.names import CertificateError

KEY_BYTES = 32
MODE = 0o600


def show_public(key: bytes) -> str:
    """Return a public key as a word of the kernel's command line: base64url without padding."""
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def parse_public(text: str) -> bytes:
    """Return the public key that a word spells. Raises `CertificateError`."""
    try:
        key = base64.b64decode(text.rstrip("=") + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise CertificateError("that is no farm's key: it is 32 bytes in base64url")
    return key


def read_farm_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key in a file. Raises `CertificateError`, `OSError`."""
    try:
        key = load_pem_private_key(read_regular(path), None)
    except (ValueError, TypeError) as error:
        raise CertificateError(
            f"cannot use {path}: it is no private key in PEM", hint="zos node key FILE makes one"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise CertificateError(f"cannot use {path}: a farm's key is an Ed25519 key")
    return key


def make_farm_key(path: Path) -> Ed25519PrivateKey:
    """Return the key in a file; make a new one if there is no file."""
    if not path.exists():
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with open_atomic(path, MODE) as stream:
            stream.write(Ed25519PrivateKey.generate().private_bytes(*form))
    return read_farm_key(path)


def public_of(key: Ed25519PrivateKey) -> bytes:
    """Return the public part."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
