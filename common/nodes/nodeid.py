"""A node's names, made of its Ed25519 public key as upstream's: base58 and SS58."""

import hashlib

from common.errors import ZosError

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"  # Bitcoin's
KEY_BYTES = 32
SS58_PREFIX = 42  # any Substrate chain


class NodeIdError(ZosError):
    """A text that is no node's name."""

    http_status = 422


def node_id(public: bytes) -> str:
    """Return the node's id: the key in base58."""
    return encode_base58(public)


def parse_node_id(text: str) -> bytes:
    """Return the public key of a node's id. Raises `NodeIdError`."""
    public = decode_base58(text) if len(text) <= 2 * KEY_BYTES else b""
    if len(public) != KEY_BYTES:
        raise NodeIdError(f"{text[:64]!r} is no node's id: that is 32 bytes in base58")
    return public


def chain_address(public: bytes) -> str:
    """Return the key as an SS58 address (prefix 42)."""
    data = bytes([SS58_PREFIX]) + public
    check = hashlib.blake2b(b"SS58PRE" + data).digest()[:2]
    return encode_base58(data + check)


def encode_base58(data: bytes) -> str:
    """Return bytes in base58; each leading zero byte is a "1"."""
    number, digits = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        digits = ALPHABET[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def decode_base58(text: str) -> bytes:
    """Return the bytes of a text in base58. Raises `NodeIdError`."""
    number = 0
    for character in text:
        digit = ALPHABET.find(character)
        if digit < 0:
            raise NodeIdError(f"{text[:64]!r} is not base58: {character!r} is none of its digits")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)
