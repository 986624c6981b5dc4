"""Writes ASN.1's Distinguished Encoding Rules: what signatures need of them. Pure."""

from collections.abc import Iterable

INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = b"\x05\x00"


def tagged(tag: int, *contents: bytes) -> bytes:
    """Return one value with its tag and length."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def sequence(*items: bytes) -> bytes:
    """Return a SEQUENCE."""
    return tagged(0x30, *items)


def set_of(items: Iterable[bytes]) -> bytes:
    """Return a SET OF, whose order is that of the encoded items."""
    return tagged(0x31, *sorted(items))


def context(number: int, *items: bytes) -> bytes:
    """Return a constructed value with a tag of the context."""
    return tagged(0xA0 | number, *items)


def integer(value: int) -> bytes:
    """Return an INTEGER that is not negative."""
    return tagged(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(value: bytes) -> bytes:
    """Return an OCTET STRING."""
    return tagged(OCTET_STRING, value)


def oid(text: str) -> bytes:
    """Return an OBJECT IDENTIFIER ("1.2.840.113549")."""
    first, second, *rest = map(int, text.split("."))
    encoded = bytearray()
    for number in (40 * first + second, *rest):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        encoded += bytes(reversed(groups))
    return tagged(0x06, bytes(encoded))
