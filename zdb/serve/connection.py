"""One connection: a client, its socket, and what waits in either direction."""

import socket
import ssl
from collections import deque
from select import EPOLLIN, EPOLLOUT

from zdb.commands.client import Client
from zdb.protocol.requests import Request, RequestParser
from zdb.storage.namespace import Namespace

READ_BYTES = 1 << 16
MAX_QUEUED = 64 << 20
"""Bytes of replies that one client may leave; a mirror that falls behind so far is closed."""


class Connection(Client):
    """A connected client.

    While replies wait for the client (`queue`), nothing is read from it: a client that does not
    read does not write either. `todo` are requests that wait for that, or for the next turn.
    """

    __slots__ = (
        *("closes_at", "events", "fd", "is_closed", "is_eof", "is_new", "parser", "queue"),
        *("queued", "recv", "seen", "send", "sock", "taken", "todo"),
    )

    def __init__(
        self,
        sock: socket.socket,
        now: float,
        rights: tuple[Namespace, bool, bool],
    ) -> None:
        namespace, is_admin, is_writable = rights
        super().__init__(namespace, is_admin=is_admin, is_writable=is_writable)
        self.sock = sock
        self.fd = sock.fileno()
        self.recv = sock.recv
        self.send = sock.send
        self.parser = RequestParser()
        self.queue: deque[memoryview] = deque()
        self.queued = 0
        self.todo: list[Request] = []
        self.events = EPOLLIN
        self.seen = now  # when bytes came last
        self.taken = now  # when the client took bytes last
        self.is_new = True  # nothing has come yet
        self.is_eof = False
        self.is_closed = False
        self.closes_at: float | None = None  # its replies are sent; what still comes is dropped

    @property
    def held(self) -> int:
        """The bytes of memory that the client makes the server keep."""
        return self.parser.held + self.queued

    @property
    def wanted(self) -> int:
        """The events that matter now."""
        return EPOLLOUT if self.queue else EPOLLIN

    @property
    def is_idle(self) -> bool:
        """Whether the client has asked for nothing that is still to be done."""
        return not (self.queue or self.todo or self.wait or self.is_mirror or self.parser.held)

    @property
    def is_shaking(self) -> bool:
        """Whether TLS is not agreed upon yet."""
        return self.is_new and isinstance(self.sock, ssl.SSLSocket) and not self.sock.version()

    def add(self, data: bytes, sent: int) -> None:
        """Queue what the socket has not taken of `data`."""
        self.queue.append(memoryview(data)[sent:])
        self.queued += len(data) - sent

    def drain(self) -> int:
        """Send what is queued as far as the socket takes it; return how many bytes that was."""
        total = 0
        while self.queue:
            head = self.queue[0]
            sent = push(self, head)
            total += sent
            if sent < len(head):
                self.queue[0] = head[sent:]
                break
            self.queue.popleft()
        self.queued -= total
        return total


def push(connection: Connection, data: bytes | memoryview) -> int:
    """Return how many bytes the socket takes now."""
    try:
        return connection.send(data)
    except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return 0
