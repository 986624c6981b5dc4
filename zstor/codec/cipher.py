"""AES-256 in Galois/Counter mode: a random nonce of 12 bytes, the ciphertext, a tag of 16.

That is upstream's form. Ours binds each text to its place, too: by additional data.
"""

import os
from collections.abc import Iterable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from zstor.errors import DamagedError

KEY = 32
NONCE = 12
TAG = 16
OVERHEAD = NONCE + TAG
MAX_STREAM = (1 << 36) - 32  # bytes under one nonce (NIST SP 800-38D, 5.2.1.1)


def seal(key: bytes, data: bytes, place: bytes = b"") -> bytes:
    """Return `data` encrypted and authenticated, together with `place`."""
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, data, place or None)


def unseal(key: bytes, data: bytes, place: bytes = b"") -> bytes:
    """Return what `seal` was given; raise `DamagedError` for another key, place or text."""
    if len(data) < OVERHEAD:
        raise DamagedError("cannot decrypt: too short")
    try:
        return AESGCM(key).decrypt(data[:NONCE], data[NONCE:], place or None)
    except InvalidTag as error:
        raise DamagedError("cannot decrypt: changed bytes, or another key") from error


def seal_stream(key: bytes, parts: Iterable[bytes]) -> Iterator[bytes]:
    """Return the parts of `seal` of all parts together."""
    nonce = os.urandom(NONCE)
    encryptor = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
    yield nonce
    for part in parts:
        yield encryptor.update(part)
    yield encryptor.finalize()
    yield encryptor.tag


def unseal_stream(key: bytes, parts: Iterable[bytes]) -> Iterator[bytes]:
    """Return the parts of what was sealed.

    Nothing of it may be used before the iterator has ended: only then the tag is checked.
    """
    source = iter(parts)
    held = _at_least(b"", source, NONCE)
    decryptor = Cipher(algorithms.AES(key), modes.GCM(held[:NONCE])).decryptor()
    held = held[NONCE:]  # its last bytes may be the tag
    for part in source:
        held += part
        yield decryptor.update(held[:-TAG])
        held = held[-TAG:]
    try:
        yield decryptor.update(held[:-TAG])
        yield decryptor.finalize_with_tag(held[-TAG:])
    except (InvalidTag, ValueError) as error:
        raise DamagedError("cannot decrypt: changed bytes, or another key") from error


def _at_least(held: bytes, source: Iterable[bytes], count: int) -> bytes:
    for part in source:
        held += part
        if len(held) >= count:
            return held
    raise DamagedError("cannot decrypt: too short")
