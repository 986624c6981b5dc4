"""Files of Ed25519 public keys: one per line, base64 of 32 bytes; `#` begins a comment.

A private key has the same length. Only its prefix tells it from a public key, and prevents it
from being published by mistake.
"""

import base64
import binascii

KEY_BYTES = 32
PRIVATE = "private:"


def parse_public_keys(text: str) -> list[bytes]:
    """Return the keys in `text`. Raises `ValueError` for a bad line, or if there is no key."""
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        word = line.partition("#")[0].strip()
        if word:
            keys.append(parse_key(word, number))
    if not keys:
        raise ValueError("there is no key in it")
    return keys


def parse_key(word: str, number: int) -> bytes:
    """Return the key that line `number` spells as `word`."""
    if word.startswith(PRIVATE):
        raise ValueError(f"line {number} is a private key; the public one is in the .pub beside it")
    try:
        key = base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"line {number} is not a public key (base64 of {KEY_BYTES} bytes)")
    return key
