"""Replies as bytes, ready to be sent. Source: the RESP2 specification."""

from collections.abc import Iterable

OK = b"+OK\r\n"
NIL = b"$-1\r\n"
ZERO = b":0\r\n"
ONE = b":1\r\n"


def bulk(data: bytes) -> bytes:
    """Return a string of any bytes."""
    return b"$%d\r\n%b\r\n" % (len(data), data)


def bulk_or_nil(data: bytes | None) -> bytes:
    """Return a string of any bytes, or nil for None."""
    return NIL if data is None else b"$%d\r\n%b\r\n" % (len(data), data)


def text(line: str) -> bytes:
    """Return a string from text; names may hold bytes that are not UTF-8."""
    return bulk(line.encode("utf-8", "surrogateescape"))


def number(value: int) -> bytes:
    """Return an integer."""
    return b":%d\r\n" % value


def status(line: str) -> bytes:
    """Return a status line."""
    return b"+%b\r\n" % line.encode()


def array(items: Iterable[bytes]) -> bytes:
    """Return an array of replies."""
    parts = list(items)
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


def error(line: str) -> bytes:
    """Return an error; what would end its line becomes a space."""
    flat = line.replace("\r", " ").replace("\n", " ")
    return b"-%b\r\n" % flat.encode("utf-8", "surrogateescape")
