"""The body of an HTTP request: of a given length, or in chunks (RFC 9112, section 7.1)."""

from zinit.control.rpctext import REQUEST_LIMIT

SIZE_LINE_LIMIT = 256  # of a chunk's size with its extensions
TRAILER_LIMIT = 4096
HEX_DIGITS = b"0123456789abcdefABCDEF"
END = b"\r\n"


class TooLongError(Exception):
    """A body that is longer than `REQUEST_LIMIT`."""


def open_body(headers: "dict[str, str]") -> "LengthBody | ChunkedBody":
    """Return the body that `headers` announce; raises ValueError or TooLongError."""
    coding = headers.get("transfer-encoding")
    if coding is None:
        text = headers.get("content-length", "0")
        if not (text.isascii() and text.isdecimal()):
            raise ValueError("not a length")
        if len(text) > 9 or int(text) > REQUEST_LIMIT:
            raise TooLongError
        return LengthBody(int(text))
    if coding.lower() != "chunked" or "content-length" in headers:
        raise ValueError("an unknown transfer coding, or two lengths")
    return ChunkedBody()


class LengthBody:
    """A body of a length that is known before."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._data = bytearray()

    def feed(self, data: bytes) -> bytes | None:
        """Take received bytes; return the body if it is complete."""
        self._data += data
        return bytes(self._data[: self._length]) if len(self._data) >= self._length else None


class ChunkedBody:
    """A body in chunks, each with its size; extensions and trailers are ignored."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0  # of what has not been decoded yet
        self._body = bytearray()
        self._is_last = False  # the chunk of size 0 has been read

    def feed(self, data: bytes) -> bytes | None:
        """Take received bytes; return the body if it is complete.

        Raises ValueError for a bad chunk, and TooLongError.
        """
        self._data += data
        while not self._is_last and self._take_chunk():
            pass
        del self._data[: self._at]
        self._at = 0
        return bytes(self._body) if self._is_last and self._has_trailers() else None

    def _take_chunk(self) -> bool:
        """Decode one chunk; return whether it was complete."""
        end = self._data.find(END, self._at, self._at + SIZE_LINE_LIMIT)
        if end < 0:
            if len(self._data) - self._at >= SIZE_LINE_LIMIT:
                raise ValueError("a long line")
            return False
        size = parse_size(bytes(self._data[self._at : end]))
        if len(self._body) + size > REQUEST_LIMIT:
            raise TooLongError
        begin, close = end + 2, end + 2 + size
        if not size:
            self._is_last = True
            self._at = end  # trailers begin after this line's end
            return True
        if len(self._data) < close + 2:
            return False
        if self._data[close : close + 2] != END:
            raise ValueError("a chunk of another size")
        self._body += self._data[begin:close]
        self._at = close + 2
        return True

    def _has_trailers(self) -> bool:
        """Return whether the empty line after the trailers has arrived."""
        if self._data.find(END + END, 0, TRAILER_LIMIT) >= 0:
            return True
        if len(self._data) > TRAILER_LIMIT:
            raise ValueError("long trailers")
        return False


def parse_size(line: bytes) -> int:
    """Return the size in a chunk's first line; raises ValueError or TooLongError."""
    digits = line.partition(b";")[0].strip(b" \t")
    if not digits or digits.strip(HEX_DIGITS):
        raise ValueError("not a size")
    if len(digits.lstrip(b"0")) > 8:
        raise TooLongError
    return int(digits, 16)
