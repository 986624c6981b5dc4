"""The listener: takes connections within limits, and hands each to `Calls` after its handshake.

The limits count before the handshake, so they hold for those who never finish one, too.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable

from core.api.calls import Caller, Calls
from core.api.http import Exchange
from core.api.places import Places, plain_address
from core.errors import CoreError

HANDSHAKE_S = 10.0
GOODBYE_S = 2.0
BACKLOG = 128
BREATH_S = 1.0  # after the system had no descriptor for a connection
LACKS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
ANY = ("::", "0.0.0.0")  # noqa: S104 - it is the node's API


def open_listener(port: int, host: str = "") -> socket.socket:
    """Return a listener on all addresses, or one. Raises `CoreError`."""
    try:
        if host or not socket.has_dualstack_ipv6():
            return listening(socket.create_server((host or ANY[1], port), backlog=BACKLOG))
        return listening(
            socket.create_server(
                (ANY[0], port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
            )
        )
    except OSError as error:
        raise CoreError(f"cannot listen on port {port}: {error.strerror}") from error


def listening(listener: socket.socket) -> socket.socket:
    """Return a listener that does not block."""
    listener.setblocking(False)
    return listener


class Server:
    """Serves `calls` on a listener; `context` returns the TLS context of new connections."""

    def __init__(
        self,
        listener: socket.socket,
        calls: Calls,
        context: Callable[[], ssl.SSLContext],
        places: Places | None = None,
    ) -> None:
        self._listener = listener
        self._calls = calls
        self._context = context
        self._places = places or Places()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Take connections until this is cancelled; those that are open are closed then."""
        try:
            while True:
                await self.take()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def take(self) -> None:
        """Take one connection, or close it if there is no place for it."""
        loop = asyncio.get_running_loop()
        try:
            connection, peer = await loop.sock_accept(self._listener)
        except OSError as error:
            if error.errno in LACKS:
                await asyncio.sleep(BREATH_S)
            return
        address = plain_address(peer[0])
        if not self._places.take(address):
            connection.close()
            return
        task = loop.create_task(self.answer(connection, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def answer(self, connection: socket.socket, address: str) -> None:
        """Serve one connection."""
        try:
            with contextlib.suppress(OSError, ssl.SSLError, TimeoutError, ConnectionError):
                await self.talk(connection, address)
        finally:
            self._places.give_back(address)

    async def talk(self, connection: socket.socket, address: str) -> None:
        """Shake hands, and answer the call."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            connection,
            ssl=self._context(),
            ssl_handshake_timeout=HANDSHAKE_S,
            ssl_shutdown_timeout=GOODBYE_S,
        )
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            tls = transport.get_extra_info("ssl_object")
            certificate = tls.getpeercert(binary_form=True) or b""
            await self._calls.handle(Exchange(reader, writer), Caller(address, certificate))
            writer.close()
            async with asyncio.timeout(GOODBYE_S + 1):
                await writer.wait_closed()
        finally:
            transport.abort()
