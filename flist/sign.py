"""Ed25519 signatures of flists, in a small text file beside each.

    name: tf-zos/production
    sha256: <hex, of the .fl file>
    ed25519: <base64 of 64 bytes>

What is signed: "zos-flist..." below, name and digest, a line each. The name is inside so that a hub
can't give out one channel's flist as another's. A signature is checked before SQLite sees the file.
"""

import base64
import binascii
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flist.errors import FlistError, SignatureError

PURPOSE = "zero-os flist signature v1"
KEY_BYTES = 32
SIGNATURE_BYTES = 64
FIELDS = ("name", "sha256", "ed25519")
MAX_SIGNATURE_FILE = 4096


def signed_message(name: str, sha256: str) -> bytes:
    """Return the bytes that a signature is over."""
    return f"{PURPOSE}\n{name}\n{sha256}\n".encode()


def generate_key(path: Path) -> Ed25519PrivateKey:
    """Write a new private key (base64 of its 32 bytes) that only its owner can read."""
    private = Ed25519PrivateKey.generate()
    text = base64.b64encode(private.private_bytes_raw()) + b"\n"
    try:
        with tempfile.NamedTemporaryFile(prefix=f".{path.name[:64]}.", dir=path.parent) as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
            os.link(stream.name, path)  # whole, and never in the place of another
    except FileExistsError as error:
        raise FlistError(
            f"cannot write {path}: it is there already", hint="move it away"
        ) from error
    except OSError as error:
        raise FlistError(f"cannot write {path}: {error.strerror}") from error
    return private


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key in `path`."""
    try:
        raw = base64.b64decode(path.read_bytes().strip(), validate=True)
    except OSError as error:
        raise FlistError(f"cannot read key {path}: {error.strerror}") from error
    except binascii.Error:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise FlistError(f"cannot read key {path}: it is not a private key of `keygen`")
    return Ed25519PrivateKey.from_private_bytes(raw)


def public_text(private: Ed25519PrivateKey) -> str:
    """Return the public key as one line of a key file, without its newline."""
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()


def parse_public_keys(text: str) -> list[bytes]:
    """Return the keys of a key file: one base64 line each, `#` starts a comment."""
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        try:
            key = base64.b64decode(word, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise FlistError(f"line {number} is not a public key (base64 of 32 bytes)")
        keys.append(key)
    return keys


def load_public_keys(path: Path) -> list[bytes]:
    """Return the public keys in `path`; at least one."""
    try:
        keys = parse_public_keys(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise FlistError(f"cannot read keys {path}: {error}") from error
    if not keys:
        raise FlistError(f"cannot read keys {path}: there is none in it")
    return keys


def file_sha256(path: Path) -> str:
    """Return SHA-256 of a file, in hex."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise FlistError(f"cannot read {path}: {error.strerror}") from error


def sign_flist(path: Path, name: str, private: Ed25519PrivateKey) -> str:
    """Return the text of the signature file of the flist `path`, under `name`."""
    if not name or not name.isprintable():
        raise FlistError(f"cannot sign under the name {name!r}", hint="for example tf-zos/testing")
    sha256 = file_sha256(path)
    signature = base64.b64encode(private.sign(signed_message(name, sha256))).decode()
    return f"name: {name}\nsha256: {sha256}\ned25519: {signature}\n"


def parse_signature(text: str) -> dict[str, str]:
    """Return the three fields of a signature file; raises `SignatureError`."""
    if len(text) > MAX_SIGNATURE_FILE:
        raise SignatureError("the signature file is too long")
    pairs = [line.partition(": ") for line in text.splitlines()]
    fields = {key: value for key, _, value in pairs}
    if len(pairs) != len(FIELDS) or tuple(fields) != FIELDS:
        raise SignatureError("the signature file is not name, sha256 and ed25519")
    return fields


def verify_flist(path: Path, sig_text: str, name: str, public_keys: Sequence[bytes]) -> None:
    """Raise `SignatureError` unless one of the keys signed exactly this file under `name`."""
    fields = parse_signature(sig_text)
    if fields["name"] != name:
        raise SignatureError(f"{path.name} is signed as {fields['name']!r}, not as {name!r}")
    sha256 = file_sha256(path)
    if fields["sha256"] != sha256:
        raise SignatureError(f"{path.name} is not the file that was signed")
    try:
        signature = base64.b64decode(fields["ed25519"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureError("the signature is not base64") from error
    message = signed_message(name, sha256)
    for key in public_keys:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        except InvalidSignature:
            continue
        return
    raise SignatureError(f"{path.name} is not signed by a trusted key")


def demand_signature(
    path: Path, keys: Path, name: str | None = None, signature: Path | None = None
) -> None:
    """Check the signature file of `path` against a key file; the name defaults to its own."""
    place = signature or path.with_name(path.name + ".sig")
    try:
        text = place.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SignatureError(
            f"cannot trust {path}: its signature {place} can't be read", hint="`sign` makes one"
        ) from error
    verify_flist(path, text, name or parse_signature(text)["name"], load_public_keys(keys))
