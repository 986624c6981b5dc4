"""An HTTP application on a socket of our own, until a signal ends it. Imports uvicorn when used."""

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from common.errors import UsageError, ZosError

if TYPE_CHECKING:
    import uvicorn

BACKLOG = 1024
MAX_PORT = 65535
GRACE_S = 5


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of "HOST:PORT" or "[IPv6]:PORT"; ":PORT" is every address."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > MAX_PORT:
        raise UsageError(f"cannot listen on {text!r}", hint="for example 127.0.0.1:8080")
    return host.removeprefix("[").removesuffix("]") or "::", int(port)


def open_listener(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one, host "::" is every address."""
    is_dual = host == "::" and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server(
            (host, port), family=family, backlog=BACKLOG, dualstack_ipv6=is_dual
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise ZosError(
            f"cannot listen on {host}:{port}: {reason}", hint="choose another address or port"
        ) from error
    # asyncio does this only for sockets it makes itself; connections inherit it. Without it, a head
    # and a body that are written apart wait 40 ms for each other.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def own_url(listener: socket.socket) -> str:
    """Return the URL of a listening socket, without a slash at its end."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: Any, listener: socket.socket, announce: Callable[[], None], **settings: Any) -> None:
    """Answer requests until SIGTERM or SIGINT; requests under way get a moment to end.

    `announce` is called once signals are heeded; who connects from then on is answered. `settings`
    are uvicorn's. The listener is closed at the end.
    """
    import uvicorn

    class Server(uvicorn.Server):
        """uvicorn's server without its signal handlers: they raise each signal again."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(app, timeout_graceful_shutdown=GRACE_S, **settings)
    server = Server(config)
    with listener, ended_by_signals(server):
        announce()
        server.run(sockets=[listener])


@contextlib.contextmanager
def ended_by_signals(server: "uvicorn.Server") -> Iterator[None]:
    """Let SIGTERM and SIGINT end `server` in good order, also before it has begun."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    kept = {number: signal.signal(number, server.handle_exit) for number in numbers}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
