"""Addresses and listening sockets."""

import os
import socket

from common.errors import UsageError, ZosError

BACKLOG = 4096
MAX_PORT = 65535
UNSENT_BYTES = 128 * 1024
"""Response bytes of one connection that the kernel holds before TCP may send them."""
PROVEN_UNSENT_BYTES = 1 << 20
"""The same for a client that has taken much."""
FILE_UNSENT_BYTES = 4 << 20
"""The same if they are those of a file, of which the kernel holds no copy."""


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
    # Connections inherit both. Nagle's algorithm would hold back a body that is written after its
    # head for 40 ms. Without the second, a client that reads nothing fills megabytes of the kernel.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    return listener


def own_url(listener: socket.socket, *, is_tls: bool = False) -> str:
    """Return the URL of a listening socket, without a slash at its end."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if is_tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
