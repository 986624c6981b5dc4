"""The text of a signature, made and checked. Pure: no I/O.

    name: tf-zos/production
    sha256: <hex>
    ed25519: <base64 of 64 bytes>

The signature is over three lines: `PURPOSE`, the name and the digest. It covers the name so that a
hub can't serve one channel's flist as another's.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flist.errors import FlistError, SignatureError

PURPOSE = "zero-os flist signature v1"
MAX_TEXT_CHARS = 4096
MAX_NAME_CHARS = 255


class Signature(NamedTuple):
    """The fields of a signature's text, in their order; not checked yet."""

    name: str
    sha256: str
    ed25519: str

    def check(self, file: str, sha256: str, name: str, public_keys: Sequence[bytes]) -> None:
        """Raise `SignatureError` unless one of the keys signed `sha256` (hex) under `name`.

        `file` names the flist in errors.
        """
        if self.name != name:
            raise SignatureError(f"{file} is signed as {self.name!r}, not as {name!r}")
        if self.sha256 != sha256:
            raise SignatureError(f"{file} is not the file that was signed")
        try:
            signature = base64.b64decode(self.ed25519, validate=True)
        except (binascii.Error, ValueError) as error:
            raise SignatureError("the signature is not base64") from error
        message = signed_message(name, sha256)
        if not any(is_signed_by(key, signature, message) for key in public_keys):
            raise SignatureError(f"{file} is not signed by a trusted key")


def signed_message(name: str, sha256: str) -> bytes:
    """Return the bytes that a signature is over."""
    return f"{PURPOSE}\n{name}\n{sha256}\n".encode()


def is_signed_by(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether `signature` is the key's signature of `message`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def sign_digest(sha256: str, name: str, private: Ed25519PrivateKey) -> str:
    """Return the text of a signature of `sha256` (hex) under `name`; raises `FlistError`.

    The same input always gives the same text.
    """
    if not name or not name.isprintable() or len(name) > MAX_NAME_CHARS:
        raise FlistError(f"cannot sign under the name {name!r}", hint="for example tf-zos/testing")
    signature = base64.b64encode(private.sign(signed_message(name, sha256))).decode()
    return f"name: {name}\nsha256: {sha256}\ned25519: {signature}\n"


def parse_signature(text: str) -> Signature:
    """Return the fields of a signature's text; raises `SignatureError`."""
    if len(text) > MAX_TEXT_CHARS:
        raise SignatureError("the signature file is too long")
    pairs = [line.partition(": ") for line in text.splitlines()]
    fields = {key: value for key, _, value in pairs}
    if len(pairs) != len(fields) or tuple(fields) != Signature._fields:
        raise SignatureError("the signature file is not name, sha256 and ed25519")
    return Signature(**fields)
