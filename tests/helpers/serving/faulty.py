"""An ASGI application that answers as another one, but with a fault: what networks do to a boot."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse

Kind = Literal["stall", "reset", "truncate", "refuse", "alter"]
NO_LINGER = struct.pack("ii", 1, 0)  # closing the socket sends a reset


@dataclass(frozen=True)
class Fault:
    """What happens to responses for paths that end with `path`, after `at` bytes of the body.

    stall      nothing more is sent, and the connection stays open
    reset      the connection is reset
    truncate   the connection is closed in order, as if that had been all
    alter      one byte is another one
    refuse     instead of the response, status 503
    """

    kind: Kind
    path: str
    at: int = 0


class FaultyApp:
    """Serves `app`, with `fault` while that is set. `hits` counts its occurrences by path."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.state = app.state
        self.fault: Fault | None = None
        self.hits: Counter[str] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        fault = self.fault
        if fault is None or scope["type"] != "http" or not scope["path"].endswith(fault.path):
            await self.app(scope, receive, send)
            return
        self.hits[scope["path"]] += 1
        if fault.kind == "refuse":
            await PlainTextResponse("come back later", 503)(scope, receive, send)
            return
        scope = {**scope, "extensions": {}}  # the bytes must come through here
        sent = 0

        async def faulty_send(message: Any) -> None:
            nonlocal sent
            body = message.get("body", b"")
            if message["type"] != "http.response.body" or not sent <= fault.at < sent + len(body):
                sent += len(body)
                await send(message)
                return
            cut = fault.at - sent
            sent += len(body)
            if fault.kind == "alter":
                await send({**message, "body": change_byte(bytes(body), cut)})
            else:
                await send({**message, "body": body[:cut], "more_body": True})
                await END[fault.kind](scope["state"]["connection"])

        await self.app(scope, receive, faulty_send)


def change_byte(data: bytes, at: int) -> bytes:
    """Return `data` with another byte at a place."""
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


async def stall(_connection: Any) -> None:
    """Send nothing more until the server ends."""
    await asyncio.Event().wait()


async def reset(connection: Any) -> None:
    """Reset the connection once all has left this process."""
    await connection.wait_until_sent()
    sock = connection.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    connection.abort()
    raise ClientDisconnect


async def truncate(connection: Any) -> None:
    """Close the connection when all has been sent."""
    connection.transport.close()
    raise ClientDisconnect


END: dict[str, Callable[[Any], Any]] = {"stall": stall, "reset": reset, "truncate": truncate}
