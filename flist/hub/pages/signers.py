"""Who has signed a version, as far as this hub knows their keys."""

from collections.abc import Mapping
from typing import NamedTuple

from flist.errors import SignatureError
from flist.format.signing.signature import Signature, parse_signature


class Signer(NamedTuple):
    """One signature: the name under which it was made; `key` (hex) and `owner` are empty if no
    known key fits."""

    name: str
    key: str = ""
    owner: str = ""
    error: str = ""


def read_signer(text: str, digest: str, keys: Mapping[str, str]) -> Signer:
    """Return what is known of one signature's text. `keys` says whose each key (hex) is.

    `digest` is the SHA-256 of what is signed, in hex.
    """
    try:
        signature = parse_signature(text)
    except SignatureError as error:
        return Signer("", error=error.message)
    if signature.sha256 != digest:
        return Signer(signature.name, error="it is a signature of another file")
    key = next((key for key in keys if fits(signature, digest, key)), "")
    return Signer(signature.name, key, keys.get(key, ""))


def fits(signature: Signature, digest: str, key: str) -> bool:
    """Return whether a key has made a signature."""
    try:
        signature.check("the flist", digest, signature.name, [bytes.fromhex(key)])
    except (SignatureError, ValueError):
        return False
    return True
