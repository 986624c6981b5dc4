"""Several blocks asked for over one HTTP connection at once; their answers come one after another.

A round trip each is nearly all of the time of small blocks, and many connections instead would each
begin as slowly as TCP does. An answer that is in any way unusual ends the pipeline: what is left is
asked for again, one by one, by whoever needs it (`HttpStore.get`).

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
    """An answer after which nothing more can be read."""


class Pipeline:
    """What comes over one connection; safe to use from several threads.

    `is_broken`: nothing more comes; `is_unfit`: because this server answers in another way.
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
        """Ask for blocks: (id, path) each. Without any, only the connection is opened."""
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
        """Return a block once it is here; None if it does not come. Raises `TimeoutError`."""
        if not self.lock.acquire(timeout=patience.left()):
            raise TimeoutError("timed out")
        try:
            while block_id in self.pending:
                self.receive(patience)
            return self.arrived.pop(block_id, None)
        finally:
            self.lock.release()

    def finish(self, patience: Patience) -> bool:
        """Let go of what nobody took; return whether the connection can be used again."""
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
        """Expect nothing more."""
        self.is_broken = True
        self.pending.clear()
        with contextlib.suppress(OSError):
            self.connection.close()


def read_answer(stream: BufferedReader, max_bytes: int) -> bytes | None:
    """Return the body of the next answer; None if it was read and is no block."""
    version, status, *_ = [*read_line(stream).split(b" ", 2), b""]
    if version != b"HTTP/1.1" or status.startswith(b"3"):
        raise AnswerError  # after a redirect every block would be asked for twice
    length = read_length(stream)
    if not 0 <= length <= max_bytes:
        raise AnswerError
    body = read_exactly(stream, length)
    return body if status == b"200" else None


def read_length(stream: BufferedReader) -> int:
    """Read headers; return the length of the body. Raises `AnswerError` if they tell none, or
    that it is encoded, or that the connection ends after it."""
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
