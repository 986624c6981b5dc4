"""Several blocks requested over one HTTP connection at once; the answers come in the same order.

One round trip per block would be most of the time for small blocks, and each of many connections
would start as slowly as TCP does. An answer that is unusual in any way ends the pipeline: the
remaining blocks are requested one by one by the callers that need them (`HttpStore.get`).

Source: RFC 9112, sections 4, 5 and 9.3.2.
"""

import contextlib
import http.client
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from io import BufferedReader

from flist.http.origin import arm
from flist.http.patience import Patience, PatientSocket

MAX_LINE = 65536
MAX_HEADERS = 100


class AnswerError(Exception):
    """The answer is one after which the connection cannot be used."""


class Pipeline:
    """The answers of one connection; safe to use from several threads.

    `is_broken` says that no more answers come, `is_unfit` that this is because the server does not
    support pipelining as we need it.
    """

    def __init__(self, connection: http.client.HTTPConnection, max_bytes: int) -> None:
        self.connection = connection
        self.max_bytes = max_bytes
        self.pending: deque[bytes] = deque()
        self.arrived: dict[bytes, bytes] = {}
        self.socket: PatientSocket | None = None
        self.stream: BufferedReader | None = None
        self.lock = threading.Lock()
        self.is_broken = False
        self.is_unfit = False

    def send(
        self, requests: Sequence[tuple[bytes, str]], headers: Mapping[str, str], patience: Patience
    ) -> None:
        """Request blocks: (id, path) each. Without any, only the connection is opened."""
        name = self.connection.host
        host = f"{f'[{name}]' if ':' in name else name}:{self.connection.port}"
        lines = "".join(f"{name}: {text}\r\n" for name, text in {"Host": host, **headers}.items())
        text = "".join(f"GET {path} HTTP/1.1\r\n{lines}\r\n" for _, path in requests)
        with self.lock:
            try:
                self.socket = arm(self.connection, patience)
                self.socket.sendall(text.encode("ascii"))
            except (OSError, ValueError):
                self.give_up()
                return
            self.stream = self.socket.makefile("rb")
            self.pending.extend(block_id for block_id, _ in requests)

    def take(self, block_id: bytes, patience: Patience) -> bytes | None:
        """Return a block once it has arrived; None if it will not. Raises `TimeoutError`."""
        if not self.lock.acquire(timeout=patience.left()):
            raise TimeoutError("timed out")
        try:
            while block_id in self.pending:
                self.receive(patience)
            return self.arrived.pop(block_id, None)
        finally:
            self.lock.release()

    def finish(self, patience: Patience) -> bool:
        """Drop the blocks that were not taken; return whether the connection can be used again."""
        with self.lock:
            with contextlib.suppress(TimeoutError):
                while self.pending:
                    self.receive(patience)
            self.arrived.clear()
            if self.stream is not None:
                self.stream.close()
            return not self.is_broken

    def receive(self, patience: Patience) -> None:
        """Read the next answer; raises `TimeoutError`."""
        assert self.socket is not None
        assert self.stream is not None
        self.socket.patience = patience
        try:
            body = read_answer(self.stream, self.max_bytes)
        except (OSError, ValueError, AnswerError) as error:
            self.is_unfit = not isinstance(error, OSError)
            self.give_up()
            if isinstance(error, TimeoutError):
                raise
            return
        block_id = self.pending.popleft()
        if body is not None:
            self.arrived[block_id] = body

    def give_up(self) -> None:
        """Close the connection; no more answers are expected."""
        self.is_broken = True
        self.pending.clear()
        with contextlib.suppress(OSError):
            self.connection.close()


def read_answer(stream: BufferedReader, max_bytes: int) -> bytes | None:
    """Return the body of the next answer; None if the status is not 200."""
    version, status, *_ = [*read_line(stream).split(b" ", 2), b""]
    if version != b"HTTP/1.1" or status.startswith(b"3"):
        raise AnswerError  # with redirects, every block would be requested twice
    length = read_length(stream)
    if not 0 <= length <= max_bytes:
        raise AnswerError
    body = read_exactly(stream, length)
    return body if status == b"200" else None


def read_length(stream: BufferedReader) -> int:
    """Read the headers and return the length of the body, -1 if they do not say it.

    Raises `AnswerError` if the body has a transfer encoding or ends with the connection.
    """
    length = -1
    for _ in range(MAX_HEADERS):
        name, _, value = read_line(stream).lower().partition(b":")
        if not name:
            return length
        if name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding" or (name == b"connection" and b"close" in value):
            raise AnswerError
    raise AnswerError


def read_line(stream: BufferedReader) -> bytes:
    """Return one line without its end."""
    line = stream.readline(MAX_LINE)
    if not line.endswith(b"\n"):
        raise AnswerError
    return line.rstrip(b"\r\n")


def read_exactly(stream: BufferedReader, size: int) -> bytes:
    """Return the next `size` bytes."""
    data = stream.read(size)
    if len(data) < size:
        raise AnswerError
    return data
