"""The client of a replica's master. It blocks, with a deadline for each answer."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import hiredis

from zdb.errors import ZdbError
from zdb.format import namespace as descriptor
from zdb.storage.copying import Place, State
from zdb.storage.incarnation import PATTERN as LIFE
from zdb.values import MODES

ANSWER_S = 15.0
RECEIVE = 1 << 18


class MasterError(ZdbError):
    """The master can't be reached, or answers what it must not."""


class Master:
    """A connection to a master, made when it is needed."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None, password: str) -> None:
        self.host = host
        self.port = port
        self.context = context
        self.password = password
        self._sock: socket.socket | None = None
        self._reader = hiredis.Reader()

    def __enter__(self) -> Self:
        try:
            self._connect()
        except OSError as error:
            self.close()
            raise MasterError(f"cannot reach {self}: {error.strerror or error}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def _connect(self) -> None:
        self._reader = hiredis.Reader()
        sock = socket.create_connection((self.host, self.port), timeout=ANSWER_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        if self.context is not None:
            self._sock = self.context.wrap_socket(sock, server_hostname=self.host)
        if self.password:
            self._log_in()

    def _log_in(self) -> None:
        """Show the password without sending it."""
        nonce = self.ask(b"AUTH", b"SECURE", b"CHALLENGE")
        proof = f"{text(nonce)}:{self.password}".encode("utf-8", "surrogateescape")
        digest = sha1(proof, usedforsecurity=False).hexdigest()
        self.ask(b"AUTH", b"SECURE", digest.encode())

    def close(self) -> None:
        """Close the connection; also from another thread, which ends a wait."""
        sock, self._sock = self._sock, None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def ask(self, *words: bytes) -> Any:
        """Send a request and return its answer; raise `MasterError` for an error."""
        sock = self._sock
        if sock is None:
            raise MasterError(f"the connection to {self} is closed")
        try:
            sock.sendall(b"*%d\r\n" % len(words) + b"".join(map(bulk, words)))
            while (answer := self._reader.gets()) is False:
                data = sock.recv(RECEIVE)
                if not data:
                    raise MasterError(f"{self} has closed the connection")
                self._reader.feed(data)
        except (OSError, hiredis.ProtocolError) as error:
            raise MasterError(f"no answer from {self}: {error}") from error
        if isinstance(answer, hiredis.ReplyError):
            raise MasterError(f"{self} answers: {answer}")
        return answer

    def state(self, token: str) -> tuple[str, list[State]] | None:
        """Return a new token and how far the namespaces are; None if nothing has changed."""
        answer = self.ask(b"REPLICA", b"STATE", token.encode())
        if answer is None:
            return None
        try:
            return text(answer[0]), list(states(answer[1]))
        except (TypeError, ValueError, IndexError) as error:
            raise MasterError(f"{self} answers nonsense") from error

    def read(self, name: str, place: Place, size: int) -> tuple[str, bytes]:
        """Return what comes after a place in the data files of a namespace."""
        numbers = [b"%d" % number for number in (*place, size)]
        encoded = name.encode("utf-8", "surrogateescape")
        answer = self.ask(b"REPLICA", b"READ", encoded, *numbers)
        if not isinstance(answer, list) or list(map(type, answer)) != [bytes, bytes]:
            raise MasterError(f"{self} answers nonsense")
        return text(answer[0]), answer[1]


def states(rows: Any) -> Iterator[State]:
    """Yield the namespaces of an answer."""
    for name, mode, incarnation, packed, *numbers in rows:
        head = text(name), text(mode), text(incarnation)
        if head[1] not in MODES or not LIFE.fullmatch(head[2]):
            raise ValueError(name)
        yield State(*head, descriptor.unpack(packed, "the master's settings"), *map(int, numbers))


def text(blob: Any) -> str:
    """Return bytes, or what hiredis has made of a status, as text."""
    return blob if isinstance(blob, str) else bytes(blob).decode("utf-8", "surrogateescape")


def bulk(word: bytes) -> bytes:
    """Return one word of a request."""
    return b"$%d\r\n%b\r\n" % (len(word), word)


def make_context(ca: Path | None) -> ssl.SSLContext:
    """Return the context for TLS to the master."""
    context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
