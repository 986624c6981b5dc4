"""The proxy's answer to UEFI HTTP Boot, which dnsmasq does not give: the address of a boot file.

The client takes its own address from the other DHCP server (UEFI specification 2.10, 24.7.3.1).
The socket is bound to the broadcast address, so dnsmasq's on the same port misses nothing.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

from bootstrap_server.lan.config import HTTP_FILES
from bootstrap_server.lan.interface import DHCP_PORT, udp_socket
from bootstrap_server.lan.message import build_http_offer, parse_message

CLIENT_PORT = 68
MOST_BYTES = 4096
EVERYONE = "255.255.255.255"
POLL_S = 0.5


def answer(data: bytes, server: IPv4Address, url: str) -> bytes | None:
    """Return the answer to a message, or None: only HTTP Boot is answered."""
    asked = parse_message(data)
    file = HTTP_FILES.get(asked.http_architecture or 0) if asked else None
    return build_http_offer(asked, server, f"{url}/{file}") if asked and file else None


@contextlib.contextmanager
def answering(
    interface: str, server: IPv4Address, url: str, tell: Callable[[str], None]
) -> Iterator[None]:
    """Answer clients of HTTP Boot on `interface` while the block runs."""
    ended = threading.Event()
    with udp_socket(interface) as sock:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.bind((EVERYONE, DHCP_PORT))
        sock.settimeout(POLL_S)

        def serve() -> None:
            while not ended.is_set():
                try:
                    if said := answer(sock.recv(MOST_BYTES), server, url):
                        sock.sendto(said, (EVERYONE, CLIENT_PORT))
                        tell("HTTP Boot: a machine was told its boot file")
                except TimeoutError:
                    continue
                except OSError:  # no cable, for example
                    ended.wait(POLL_S)

        thread = threading.Thread(target=serve, name="http-boot", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(2 * POLL_S)
