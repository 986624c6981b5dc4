"""Signed notes and heads of a log (C2SP: signed-note, tlog-checkpoint, tlog-cosignature).

A note is text that ends in a newline, an empty line, and lines `- NAME BASE64`: the first four
bytes are the key's hash, then comes the signature. A head's text is origin, size and root.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from registry.errors import RegistryError

ED25519, COSIGNATURE = 1, 4
KEY_BYTES, HASH_BYTES, ID_BYTES = 32, 32, 4
MAX_BYTES = 16 << 10
DASH = "\N{EM DASH}"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A key that signs notes, with its name and kind."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """Return the key's hash, with which signatures begin."""
        whole = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return hashlib.sha256(whole).digest()[:ID_BYTES]

    def __str__(self) -> str:
        """Return the key as operators exchange it: NAME+HASH+KEY."""
        data = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{data}"


@dataclass(frozen=True, slots=True)
class Head:
    """Size and root of a log."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """Return what is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def parse_verifier(text: str) -> Verifier:
    """Return the key NAME+HASH+KEY. Raises `RegistryError`."""
    name, _, rest = text.partition("+")
    mark, _, data = rest.partition("+")
    raw = decode(data)
    found = Verifier(name, raw[0] if raw else 0, raw[1:])
    is_known = found.kind in (ED25519, COSIGNATURE) and len(found.public) == KEY_BYTES
    if not name or not is_known or found.id.hex() != mark.lower():
        raise RegistryError(f"{text[:100]!r} is no key of a witness", hint="NAME+HASH+KEY")
    return found


def sign_head(head: Head, verifier: Verifier, sign: Callable[[bytes], bytes]) -> str:
    """Return the signed note of a head."""
    line = make_line(verifier, sign(head.text.encode()))
    return f"{head.text}\n{line}"


def make_line(verifier: Verifier, signature: bytes) -> str:
    """Return the line of a signature."""
    data = base64.b64encode(verifier.id + signature).decode()
    return f"{DASH} {verifier.name} {data}\n"


def split_note(note: str) -> tuple[str, list[str]]:
    """Return a note's text and its lines of signatures. Raises `RegistryError`."""
    text, found, rest = note.rpartition("\n\n")
    if not found or len(note) > MAX_BYTES or not rest.endswith("\n"):
        raise RegistryError("this is no signed note")
    return f"{text}\n", rest.splitlines(keepends=True)


def parse_head(text: str) -> Head:
    """Return the head that a note's text is. Raises `RegistryError`."""
    lines = text.split("\n")
    if len(lines) != 4 or not lines[1].isascii() or not lines[1].isdigit() or len(lines[1]) > 18:
        raise RegistryError("this is no head of a log: origin, size and root")
    head = Head(lines[0], int(lines[1]), decode(lines[2]))
    if len(head.root) != HASH_BYTES or head.text != text:
        raise RegistryError("this is no head of a log: origin, size and root")
    return head


def find_signature(text: str, lines: list[str], verifier: Verifier) -> str | None:
    """Return the line with a good signature of a key, or None."""
    for line in lines:
        dash, _, rest = line.rstrip("\n").partition(" ")
        name, _, data = rest.partition(" ")
        raw = decode(data)
        if (dash, name, raw[:ID_BYTES]) == (DASH, verifier.name, verifier.id):
            return line if has_signed(text, raw[ID_BYTES:], verifier) else None
    return None


def has_signed(text: str, signature: bytes, verifier: Verifier) -> bool:
    """Return whether a signature is a key's; a cosignature begins with its time."""
    signed = text.encode()
    if verifier.kind == COSIGNATURE:
        if len(signature) < 8:
            return False
        signed = cosigned(text, struct.unpack(">Q", signature[:8])[0])
        signature = signature[8:]
    try:
        Ed25519PublicKey.from_public_bytes(verifier.public).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def cosigned(text: str, at_s: int) -> bytes:
    """Return what a witness signs of a head."""
    return f"cosignature/v1\ntime {at_s}\n{text}".encode()


def cosign(text: str, at_s: int, verifier: Verifier, sign: Callable[[bytes], bytes]) -> str:
    """Return the line with which a witness says that it has seen a head."""
    return make_line(verifier, struct.pack(">Q", at_s) + sign(cosigned(text, at_s)))


def decode(text: str) -> bytes:
    """Return the bytes of base64; empty if it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
