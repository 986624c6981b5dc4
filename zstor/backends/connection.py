"""One connection to a namespace of a zdb server. Every call has a deadline."""

import hashlib
import socket
import time
from typing import NamedTuple

from zstor.backends.replies import Refusal, Replies, Reply
from zstor.errors import BackendError, UnreachableError
from zstor.model import Backend

SHORT = 1 << 16
"""The bound on replies that carry no value."""
NAMESPACE = "default"


class Patience(NamedTuple):
    """How long a backend may take, in seconds; `rest_s`: how long a dead one is left alone."""

    connect_s: float = 5.0
    answer_s: float = 30.0
    rest_s: float = 3.0


def pack_command(words: tuple[bytes | str, ...]) -> bytes:
    """Return a request: an array of bulk strings."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        raw = word.encode() if isinstance(word, str) else word
        parts += [b"$%d\r\n" % len(raw), raw, b"\r\n"]
    return b"".join(parts)


class Connection:
    """A connection that has selected its namespace. It serves one thread at a time."""

    def __init__(self, backend: Backend, patience: Patience) -> None:
        self.backend = backend
        self.patience = patience
        self.replies = Replies(self._receive)
        self.deadline = time.monotonic() + patience.connect_s
        place = backend.place
        try:
            self.socket = socket.create_connection((place.host, place.port), patience.connect_s)
        except OSError as error:
            raise unreachable(backend, error) from error
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._select()
        except BaseException:
            self.close()
            raise

    def _select(self) -> None:
        """Select the namespace. The password itself is never sent: only a hash with a challenge."""
        place, password = self.backend
        if password is not None:
            challenge = self.call("AUTH", "SECURE", "CHALLENGE")
            if not isinstance(challenge, bytes):
                raise refused(self.backend, "log in", challenge)
            proof = hashlib.sha1(challenge + b":" + password.encode(), usedforsecurity=False)
            words = ["SELECT", place.namespace or NAMESPACE, "SECURE", proof.hexdigest()]
        elif place.namespace is not None:
            words = ["SELECT", place.namespace]
        else:
            return
        reply = self.call(*words)
        if reply != b"OK":
            raise refused(self.backend, "select the namespace", reply)

    def call(self, *words: bytes | str, most: int = SHORT) -> Reply:
        """Return the reply to a command; raise `UnreachableError` without one."""
        self.deadline = time.monotonic() + self.patience.answer_s
        try:
            self.socket.settimeout(self._left())
            self.socket.sendall(pack_command(words))
            return self.replies.read(most)
        except OSError as error:
            raise unreachable(self.backend, error) from error
        except BackendError as error:
            raise BackendError(f"cannot use {self.backend.place}: {error.message}") from error

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer within {self.patience.answer_s:g} s")
        return left

    def _receive(self, count: int) -> bytes:
        self.socket.settimeout(self._left())
        return self.socket.recv(count)

    def shut(self) -> None:
        """End what another thread waits for here."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is closed already

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


def unreachable(backend: Backend, error: OSError) -> UnreachableError:
    """Return what to tell about a backend that does not answer."""
    reason = error.strerror or str(error) or "no answer in time"
    return UnreachableError(f"cannot reach {backend.place}: {reason}")


def refused(backend: Backend, what: str, reply: Reply) -> BackendError:
    """Return what to tell about a backend that answers with an error."""
    reason = reply.text if isinstance(reply, Refusal) else "an unexpected reply"
    return BackendError(f"cannot {what} at {backend.place}: {reason}")
