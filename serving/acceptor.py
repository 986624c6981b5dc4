"""Accepts connections, or refuses them cheaply, and backs off when the system has no more to give.

asyncio's own loop would log a traceback for each failed accept, and could not be told to refuse.
"""

import asyncio
import errno
import json
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

from serving.connection import Connection
from serving.connections import Connections, Peer
from serving.logs import Throttle

BATCH = 64
SHARED_BATCH = 8
"""Of connections that come together, other workers shall get their share. With fewer at once, new
ones would wait for many rounds of answers to those that are in."""
BACK_OFF_S = 0.5
EVICTED_AT_ONCE = 16
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
RETRY_S = 2

BODY = json.dumps(
    {"title": "Service Unavailable", "status": 503, "detail": "too many connections are open"}
).encode()
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
    b"Content-Length: %d\r\nRetry-After: %d\r\nConnection: close\r\n\r\n%s"
) % (len(BODY), RETRY_S, BODY)


class Handshake:
    """A connection that is being set up: with TLS that needs the client's part."""

    def __init__(self, address: str, deadline: float) -> None:
        self.address = address
        self.deadline = deadline
        self.task: asyncio.Task[None] | None = None

    @property
    def is_stalled(self) -> bool:
        """Return False: nothing is being sent."""
        return False

    def overdue(self, now: float) -> str | None:
        """Return the time-out that the client has reached, or None."""
        return "header_timeout" if now > self.deadline else None

    def evict(self) -> None:
        """End the handshake."""
        if self.task:
            self.task.cancel()


class Acceptor:
    """Turns what arrives at a listener into connections. It owns the listener."""

    def __init__(
        self,
        listener: socket.socket,
        table: Connections,
        make_connection: Callable[[Peer], Connection],
        tls: ssl.SSLContext | None,
        log: Any,
        throttle: Throttle,
        *,
        is_shared: bool = False,
    ) -> None:
        self.listener = listener
        self.table = table
        self.make_connection = make_connection
        self.tls = tls
        self.log = log
        self.throttle = throttle
        self.is_shared = is_shared  # other processes accept from it, too
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        self.is_closed = False

    def start(self) -> None:
        """Begin to accept."""
        if not self.is_closed:
            self.listener.setblocking(False)
            self.loop.add_reader(self.listener, self.accept)

    def close(self) -> None:
        """Stop accepting: from now on connections are refused by the kernel."""
        if not self.is_closed:
            self.is_closed = True
            self.loop.remove_reader(self.listener)
            self.listener.close()
            for task in self.tasks:
                task.cancel()

    def accept(self) -> None:
        """Take what waits at the listener, a batch at a time so that others get their turn."""
        for _ in range(SHARED_BATCH if self.is_shared else BATCH):
            try:
                sock, name = self.listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self.back_off(error)
                return
            sock.setblocking(False)
            address = str(name[0])
            reason = self.table.find_refusal(address)
            if reason is None:
                self.begin(sock, address)
            else:
                self.refuse(sock, reason)

    def begin(self, sock: socket.socket, address: str) -> None:
        """Set a connection up."""
        timeout_s = self.table.settings.header_timeout
        handshake = Handshake(address, self.loop.time() + timeout_s)
        self.table.add(handshake)
        task = self.loop.create_task(self.set_up(sock, handshake))
        handshake.task = task
        self.tasks.add(task)
        task.add_done_callback(lambda task: self.finish(task, sock, handshake))

    def finish(self, task: asyncio.Task[None], sock: socket.socket, handshake: Handshake) -> None:
        """Clean up after a set-up, also after one that was cancelled before it began."""
        self.tasks.discard(task)
        self.table.remove(handshake)
        if task.cancelled():
            sock.close()

    async def set_up(self, sock: socket.socket, handshake: Handshake) -> None:
        """Make a connection of a socket; a TLS handshake that fails is the client's affair."""
        timeout_s = self.table.settings.header_timeout if self.tls else None
        try:
            await self.loop.connect_accepted_socket(
                lambda: self.make_connection(handshake),
                sock,
                ssl=self.tls,
                ssl_handshake_timeout=timeout_s,
                ssl_shutdown_timeout=timeout_s,
            )
        except (OSError, asyncio.CancelledError):
            sock.close()

    def refuse(self, sock: socket.socket, reason: str) -> None:
        """Answer that the server is full, as far as that needs no waiting, and close."""
        self.table.reject(reason)
        self.report("connection refused", reason=reason)
        with sock:
            if self.tls is None:
                try:
                    sock.send(REFUSAL)
                    sock.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

    def back_off(self, error: OSError) -> None:
        """Accept nothing for a moment: the listener would report the same connection again."""
        if error.errno in EXHAUSTED:
            for _ in range(EVICTED_AT_ONCE):
                self.table.evict_oldest()
        self.table.reject("accept_failed")
        self.report("cannot accept connections", error=os.strerror(error.errno or 0))
        self.loop.remove_reader(self.listener)
        self.loop.call_later(BACK_OFF_S, self.start)

    def report(self, event: str, **fields: object) -> None:
        """Log a warning, at most once in a while."""
        held = self.throttle.take(event)
        if held is not None:
            self.log.warning(event, repeated=held, **fields)
