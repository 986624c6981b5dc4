"""Key files, written and read.

A private key file holds `private:` and the base64 of 32 bytes. A file of public keys holds the
base64 of 32 bytes on each line (`common.publickeys`).
"""

import base64
import binascii
import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.publickeys import KEY_BYTES, PRIVATE, parse_public_keys
from flist.errors import FlistError


def generate_key(path: Path) -> Ed25519PrivateKey:
    """Write a new private key to `path`, readable by its owner only; raises `FlistError`.

    An existing file is never replaced.
    """
    private = Ed25519PrivateKey.generate()
    text = f"{PRIVATE} {base64.b64encode(private.private_bytes_raw()).decode()}\n".encode()
    try:
        with tempfile.NamedTemporaryFile(prefix=f".{path.name[:64]}.", dir=path.parent) as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
            os.link(stream.name, path)  # atomic, and fails if `path` exists
    except FileExistsError as error:
        raise FlistError(f"cannot write {path}: it exists already", hint="move it away") from error
    except OSError as error:
        raise FlistError(f"cannot write {path}: {error.strerror}") from error
    return private


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key in `path`; raises `FlistError`.

    Older files have no `private:` before the key.
    """
    try:
        text = path.read_bytes().strip().removeprefix(PRIVATE.encode())
        raw = base64.b64decode(text.strip(), validate=True)
    except OSError as error:
        raise FlistError(f"cannot read key {path}: {error.strerror}") from error
    except binascii.Error:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise FlistError(f"cannot read key {path}: it is not a private key of `keygen`")
    return Ed25519PrivateKey.from_private_bytes(raw)


def public_text(private: Ed25519PrivateKey) -> str:
    """Return the public key as one line of a key file, without the newline."""
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()


def load_public_keys(path: Path) -> list[bytes]:
    """Return the public keys in `path`, at least one, of 32 bytes each; raises `FlistError`."""
    try:
        return parse_public_keys(path.read_text())
    except OSError as error:
        raise FlistError(f"cannot read keys {path}: {error.strerror}") from error
    except ValueError as error:
        raise FlistError(f"cannot read keys {path}: {error}") from error
