"""Ed25519 signatures of flists, in a small text file beside each.

    name: tf-zos/production
    sha256: <hex, of the .fl file>
    ed25519: <base64 of 64 bytes>

What is signed: "zos-flist..." below, name and digest, a line each. The name is inside so that a hub
can't give out one channel's flist as another's. A signature is checked before SQLite sees the file.
The same text may stand inside the flist (`flist.format.trailer`), more than once while keys change.
"""

import base64
import binascii
import hashlib
import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from common.files import open_regular, write_atomic
from common.publickeys import KEY_BYTES, PRIVATE, parse_public_keys
from flist.errors import FlistError, SignatureError
from flist.format.trailer import (
    body_sha256,
    database_size,
    join_trailer,
    read_database,
    read_trailer,
)

PURPOSE = "zero-os flist signature v1"
SIGNATURE_BYTES = 64
FIELDS = ("name", "sha256", "ed25519")
MAX_SIGNATURE_FILE = 4096
MAX_NAME = 255


def signed_message(name: str, sha256: str) -> bytes:
    """Return the bytes that a signature is over."""
    return f"{PURPOSE}\n{name}\n{sha256}\n".encode()


def generate_key(path: Path) -> Ed25519PrivateKey:
    """Write a new private key (`private:` and base64 of its 32 bytes) that only its owner can
    read."""
    private = Ed25519PrivateKey.generate()
    text = f"{PRIVATE} {base64.b64encode(private.private_bytes_raw()).decode()}\n".encode()
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
    """Return the private key in `path`; older ones have no `private:` before them."""
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
    """Return the public key as one line of a key file, without its newline."""
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()


def load_public_keys(path: Path) -> list[bytes]:
    """Return the public keys in `path`; at least one."""
    try:
        return parse_public_keys(path.read_text())
    except OSError as error:
        raise FlistError(f"cannot read keys {path}: {error.strerror}") from error
    except ValueError as error:
        raise FlistError(f"cannot read keys {path}: {error}") from error


def file_sha256(path: Path) -> str:
    """Return SHA-256 of a file, in hex."""
    try:
        with open_regular(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise FlistError(f"cannot read {path}: {error.strerror}") from error


def sign_flist(path: Path, name: str, private: Ed25519PrivateKey) -> str:
    """Return the text of the signature file of the flist `path`, under `name`."""
    return sign_digest(file_sha256(path), name, private)


def sign_digest(sha256: str, name: str, private: Ed25519PrivateKey) -> str:
    """Return the text of a signature over bytes of this SHA-256, under `name`."""
    if not name or not name.isprintable() or len(name) > MAX_NAME:
        raise FlistError(f"cannot sign under the name {name!r}", hint="for example tf-zos/testing")
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
    verify_digest(path, file_sha256(path), sig_text, name, public_keys)


def verify_digest(
    path: Path, sha256: str, sig_text: str, name: str, public_keys: Sequence[bytes]
) -> None:
    """Raise `SignatureError` unless one of the keys signed bytes of this SHA-256 under `name`."""
    fields = parse_signature(sig_text)
    if fields["name"] != name:
        raise SignatureError(f"{path.name} is signed as {fields['name']!r}, not as {name!r}")
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


def sign_inside(
    path: Path, name: str, private: Ed25519PrivateKey, *, are_others_kept: bool = True
) -> None:
    """Put a signature into the flist `path`; the same key's under the same name is replaced."""
    try:
        body = read_database(path)
        if database_size(io.BytesIO(body)) != len(body):
            raise FlistError(f"cannot sign {path}: it is cut off, or something was added to it")
        sha256 = hashlib.sha256(body).hexdigest()
        texts = fitting_signatures(path, sha256) if are_others_kept else []
        new = sign_digest(sha256, name, private)  # the same input gives the same signature
        kept = [text for text in texts if text != new]
        write_atomic(path, join_trailer(body, [*kept, new]), path.stat().st_mode & 0o777)
    except OSError as error:
        raise FlistError(f"cannot sign {path}: {error.strerror}") from error


def fitting_signatures(path: Path, sha256: str) -> list[str]:
    """Return the signatures inside that are over the bytes there are."""
    try:
        texts = read_trailer(path)[1]
        return [text for text in texts if parse_signature(text)["sha256"] == sha256]
    except SignatureError:
        return []  # of a flist that was changed since


def verify_inside(path: Path, name: str | None, public_keys: Sequence[bytes]) -> str:
    """Return the name under which a trusted key signed this flist inside; raises `SignatureError`.

    With a `name`, it must be that.
    """
    size, texts = read_trailer(path)
    problem = SignatureError(f"{path.name} has no signature inside", hint="`sign --inside`")
    sha256 = body_sha256(path, size) if texts else ""
    for text in texts:
        try:
            signed = parse_signature(text)["name"]
            verify_digest(path, sha256, text, name or signed, public_keys)
        except SignatureError as error:
            problem = error
        else:
            return signed
    raise problem


def demand_signature(
    path: Path, keys: Path, name: str | None = None, signature: Path | None = None
) -> str:
    """Check a flist against a key file; return the name under which it is signed.

    The signature is the file that is named, or else inside the flist, or else beside it. Without
    a `name`, any will do. Raises `SignatureError`.
    """
    public_keys = load_public_keys(keys)
    place = signature or path.with_name(path.name + ".sig")
    if signature is None and read_trailer(path)[1]:
        try:
            return verify_inside(path, name, public_keys)
        except SignatureError:
            if not place.exists():
                raise
    try:
        text = place.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SignatureError(
            f"cannot trust {path}: it has no signature inside, and {place} can't be read",
            hint="`sign` makes one",
        ) from error
    try:
        signed = parse_signature(text)["name"]
    except SignatureError as error:
        error.add_note(f"in {place}")
        raise
    verify_flist(path, text, name or signed, public_keys)
    return signed
