"""Requests in a file, as they are on the wire: what `zdb export` writes and `zdb import` reads."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from zdb.errors import ZdbError
from zdb.values import MAX_VALUE

MAX_WORDS = 16
MAX_LINE = 32


def pack(*words: bytes) -> bytes:
    """Return a request."""
    return b"*%d\r\n" % len(words) + b"".join(
        b"$%d\r\n%b\r\n" % (len(word), word) for word in words
    )


def read(stream: BinaryIO) -> Iterator[Sequence[bytes]]:
    """Yield the requests of a file; raise `ZdbError` at the first byte that is wrong."""
    number = 0
    while (count := read_number(stream, b"*", MAX_WORDS, number)) is not None:
        number += 1
        yield [read_word(stream, number) for _ in range(count)]


def read_word(stream: BinaryIO, number: int) -> bytes:
    """Return one word of a request."""
    size = read_number(stream, b"$", MAX_VALUE, number)
    blob = stream.read((size or 0) + 2)
    if size is None or blob[size:] != b"\r\n":
        raise ZdbError(f"cannot read request {number}: it is cut off")
    return blob[:size]


def read_number(stream: BinaryIO, mark: bytes, limit: int, number: int) -> int | None:
    """Return the number in a line; None at the end of the file."""
    line = stream.readline(MAX_LINE)
    if not line and mark == b"*":
        return None
    digits = line[1:-2]
    is_right = line.startswith(mark) and line.endswith(b"\r\n") and digits.isdigit()
    if not is_right or int(digits) > limit:
        raise ZdbError(f"cannot read request {number + 1}: not a file of `zos zdb export`")
    return int(digits)
