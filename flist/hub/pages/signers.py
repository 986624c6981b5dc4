"""Who has signed a version, as far as this hub knows their keys."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from flist.errors import SignatureError
from flist.format.signing.signature import Signature, parse_signature
from flist.format.signing.trailer import find_trailer, stream_sha256

Texts = Sequence[tuple[str, str]]
"""Signatures: each text, with the SHA-256 in hex of what it has to be of."""


class Signer(NamedTuple):
    """One signature: the name under which it was made; `key` (base64) and `owner` are empty if no
    known key fits."""

    name: str
    key: str = ""
    owner: str = ""
    error: str = ""


def read_inside(path: Path) -> Texts:
    """Return the signatures inside a flist."""
    with path.open("rb") as stream:
        try:
            size, texts = find_trailer(stream)
        except SignatureError:
            return []
        digest = stream_sha256(stream, size) if texts else ""
    return [(text, digest) for text in texts]


def read_signer(text: str, digest: str, keys: Mapping[str, str]) -> Signer:
    """Return what is known of one signature. `keys` says whose each key (hex) is."""
    try:
        signature = parse_signature(text)
    except SignatureError as error:
        return Signer("", error=error.message)
    if signature.sha256 != digest:
        return Signer(signature.name, error="it is a signature of another file")
    key = next((key for key in keys if fits(signature, digest, key)), "")
    return Signer(signature.name, show_key(key), keys.get(key, ""))


def show_key(key: str) -> str:
    """Return a public key in hex as the files of `keygen` have it."""
    return base64.b64encode(bytes.fromhex(key)).decode()


def fits(signature: Signature, digest: str, key: str) -> bool:
    """Return whether a key has made a signature."""
    try:
        signature.check("the flist", digest, signature.name, [bytes.fromhex(key)])
    except (SignatureError, ValueError):
        return False
    return True
