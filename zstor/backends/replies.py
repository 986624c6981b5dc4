"""Reads replies of a RESP server that may be hostile: each has a bound on its size."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from zstor.errors import BackendError

MAX_LINE = 4096
MAX_DEPTH = 3
MAX_DIGITS = 20
ITEM = 64  # what an item of an array costs of the bound, beside its bytes
BLOCK = 1 << 16


class Refusal(NamedTuple):
    """An error reply."""

    text: str


Reply: TypeAlias = "bytes | int | Refusal | list[Reply] | None"


class Replies:
    """The replies in a stream, of which `receive(count)` returns at most `count` bytes more."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self.receive = receive
        self.buffer = bytearray()
        self.left = 0

    def read(self, most: int) -> Reply:
        """Return the next reply, of about `most` bytes at most."""
        self.left = most + MAX_LINE
        return self._reply(0)

    def _reply(self, depth: int) -> Reply:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            return Refusal(rest.decode("utf-8", "replace"))
        if kind == b":":
            return _number(rest)
        if kind == b"$":
            return self._bulk(_number(rest))
        if kind == b"*":
            return self._array(_number(rest), depth)
        raise BackendError("it does not speak RESP")

    def _array(self, count: int, depth: int) -> Reply:
        if count < 0:
            return None
        if depth >= MAX_DEPTH:
            raise BackendError("its reply is nested too deep")
        self._spend(count * ITEM)
        return [self._reply(depth + 1) for _ in range(count)]

    def _bulk(self, length: int) -> bytes | None:
        if length < 0:
            return None
        data = self._take(length)
        self._take(2)
        return data

    def _spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise BackendError("its reply is longer than anything that was stored")

    def _line(self) -> bytes:
        """Return the next line, without its end."""
        while (end := self.buffer.find(b"\n")) < 0:
            if len(self.buffer) > MAX_LINE:
                raise BackendError("it does not speak RESP")
            self._more(BLOCK)
        line = self._take(end + 1)
        return line.rstrip(b"\r\n")

    def _take(self, count: int) -> bytes:
        """Return the next bytes."""
        self._spend(count)
        while len(self.buffer) < count:
            self._more(max(BLOCK, count - len(self.buffer)))
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def _more(self, count: int) -> None:
        data = self.receive(count)
        if not data:
            raise ConnectionResetError("it closed the connection")
        self.buffer += data


def _number(digits: bytes) -> int:
    sign = digits.removeprefix(b"-")
    if not sign.isdigit() or len(digits) > MAX_DIGITS:
        raise BackendError("it does not speak RESP")
    return int(digits)
