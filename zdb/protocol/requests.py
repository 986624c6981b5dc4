"""Requests from the bytes of a connection.

A request is an array of bulk strings: `*COUNT`, then `$LENGTH` and the bytes of each argument, each
line ended by CR LF (a lone LF is taken, too), each argument followed by two bytes that nobody looks
at. Source: the RESP specification, and what 0-db 2.0.7 answers to what is none.

Whole requests of short arguments, which is nearly all there is, are cut out of the received bytes
by one `split`. Everything else goes byte by byte through a state machine that keeps its place, so
that a client that sends a byte at a time costs as much as one that sends all at once.
"""

from zdb.values import MAX_VALUE

MAX_ARGUMENTS = 1024
MAX_REQUEST = MAX_VALUE + (1 << 20)
"""Bytes of all arguments of one request."""
MAX_LINE = 32

Request = tuple[bytes, ...]

# Lines without their LF, which split takes away. An argument's line has one byte more: its CR.
_ENDS = (b"\r", b"")
_COUNTS = {b"*%d%b" % (n, end): n for n in range(1, MAX_ARGUMENTS + 1) for end in _ENDS}
_LENGTHS = {b"$%d%b" % (n, end): n + 1 for n in range(16385) for end in _ENDS}
_length_of = _LENGTHS.get


class RequestParser:
    """Cuts the bytes of one connection into requests; `error` ends it."""

    __slots__ = ("_buffer", "_left", "_next", "_request", "_size", "error")

    def __init__(self) -> None:
        self.error: str | None = None
        self._buffer = bytearray()
        self._request: list[bytes] = []
        self._left = 0  # arguments that the request still lacks
        self._next = -1  # length of the argument that is being read; -1: its line is
        self._size = 0  # bytes of the request's arguments, with the one that is being read

    @property
    def held(self) -> int:
        """The bytes in memory of a request that is not complete."""
        return len(self._buffer) + self._size - max(self._next, 0)

    def feed(self, data: bytes) -> list[Request]:
        """Take received bytes and return the requests that they complete.

        What follows an error is dropped; requests before it are returned.
        """
        if self.error is not None:
            return []
        requests: list[Request] = []
        if not self._left and not self._buffer:
            data = cut_whole(data, requests)
            if not data:
                return requests
        self._buffer += data
        try:
            self._walk(requests)
        except ValueError as error:
            self.error = str(error)
            self._buffer, self._request = bytearray(), []
            self._size, self._next = 0, -1
        return requests

    def _walk(self, requests: list[Request]) -> None:
        """Go on from the last place; raise `ValueError` with the answer to a malformed request."""
        buffer, place = self._buffer, 0
        while place < len(buffer):
            if self._next >= 0:
                end = place + self._next + 2
                if end > len(buffer):
                    break
                with memoryview(buffer) as view:
                    self._request.append(bytes(view[place : end - 2]))
                place, self._next = end, -1
                self._left -= 1
                if not self._left:
                    requests.append(tuple(self._request))
                    self._request, self._size = [], 0
                continue
            check_kind(buffer[place], is_argument=self._left > 0)
            end = buffer.find(b"\n", place, place + MAX_LINE)
            if end < 0:
                if len(buffer) - place >= MAX_LINE:
                    raise ValueError("Malformed query string")
                break
            self._start(bytes(buffer[place + 1 : end]).removesuffix(b"\r"))
            place = end + 1
        del buffer[:place]

    def _start(self, number: bytes) -> None:
        """Begin a request, or an argument of one."""
        if not self._left:
            self._left = parse_count(number)
            return
        length = parse_length(number)
        self._size += length
        if self._size > MAX_REQUEST:
            raise ValueError("Payload too big")
        self._next = length


def cut_whole(data: bytes, requests: list[Request]) -> bytes:
    """Append the requests at the beginning of `data` that are plain; return the bytes after them.

    A request is plain if it is complete and no argument has a line break or is long.
    """
    parts = data.split(b"\n")
    if cut_alike(parts, requests):
        return b""
    last, at = len(parts) - 1, 0
    while at < last:
        end = at + 2 * _COUNTS.get(parts[at], last) + 1
        if end > last or not cut_one(parts[at + 1 : end], requests):
            break
        at = end
    return b"\n".join(parts[at:])


def cut_one(parts: list[bytes], requests: list[Request]) -> bool:
    """Append the request of one array, its lines taken in turn for a length and an argument."""
    arguments = parts[1::2]
    if list(map(_length_of, parts[::2])) != list(map(len, arguments)):
        return False
    requests.append(tuple([argument[:-1] for argument in arguments]))
    return True


def cut_alike(parts: list[bytes], requests: list[Request]) -> bool:
    """Append the requests if all are plain and have as many arguments as the first.

    A batch is checked and cut a column at a time: a third of the time for each request.
    """
    count = _COUNTS.get(parts[0])
    if count is None or parts[-1]:
        return False
    step = 2 * count + 1
    if len(parts) == step + 1:
        return cut_one(parts[1:step], requests)
    heads = parts[:-1:step]
    if (len(parts) - 1) % step or heads.count(parts[0]) != len(heads):
        return False
    columns = [parts[at::step] for at in range(2, step, 2)]
    for at, column in enumerate(columns):
        if list(map(_length_of, parts[2 * at + 1 :: step])) != list(map(len, column)):
            return False
    columns = [[argument[:-1] for argument in column] for column in columns]
    requests += zip(*columns, strict=True)
    return True


def check_kind(first: int, *, is_argument: bool) -> None:
    """Raise `ValueError` if a line does not begin as it must."""
    if is_argument and first != ord("$"):
        raise ValueError("Malformed query string")
    if not is_argument and first != ord("*"):
        raise ValueError("Malformed request, array expected")


def parse_count(number: bytes) -> int:
    """Return how many arguments a request has."""
    if number.startswith(b"-"):
        raise ValueError("Internal memory error")
    if not number.isdigit() or not int(number):
        raise ValueError("Missing arguments")
    if int(number) > MAX_ARGUMENTS:
        raise ValueError("Too many arguments")
    return int(number)


def parse_length(number: bytes) -> int:
    """Return the length of an argument."""
    if not number.isdigit():
        raise ValueError("Malformed query string")
    if int(number) > MAX_VALUE:
        raise ValueError("Payload too big")
    return int(number)
