"""Asks a LAN whether it has a DHCP server."""

import contextlib
import os
import socket
import time
from ipaddress import IPv4Address

from bootstrap_server.lan.interface import DHCP_PORT, LanError, udp_socket
from bootstrap_server.lan.message import OFFER, Message, build_discover, parse_message

CLIENT_PORT = 68
TRIES = 3
TRY_S = 2.0
"""Servers may ping an address before they offer it, mostly for a second at most."""
MOST_BYTES = 4096
EVERYONE = "255.255.255.255"
UNSPECIFIED = IPv4Address(0)


def find_servers(interface: str) -> list[str]:
    """Return the DHCP servers that offer an address on `interface`, as they call themselves.

    The offers are not taken. Without an answer this takes `TRIES` times `TRY_S` seconds.
    """
    with udp_socket(interface) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("", CLIENT_PORT))
        except OSError as error:
            raise LanError(
                f"cannot look for a DHCP server on {interface}: UDP port 68: {error.strerror}",
                hint="say which one is right: --dhcp proxy, or --dhcp full",
            ) from error
        # An address of nobody's (locally administered), so that no lease of a machine is touched.
        transaction, hardware = os.urandom(4), b"\x02" + os.urandom(5)
        for _ in range(TRIES):
            if found := ask(sock, transaction, hardware):
                return found
    return []


def ask(sock: socket.socket, transaction: bytes, hardware: bytes) -> list[str]:
    """Send one question; return who answers it within `TRY_S`."""
    with contextlib.suppress(OSError):  # no cable, for example: nobody answers
        sock.sendto(build_discover(transaction, hardware), (EVERYONE, DHCP_PORT))
    found: dict[str, None] = {}
    deadline = time.monotonic() + TRY_S
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            data, (sender, _) = sock.recvfrom(MOST_BYTES)
        except TimeoutError:
            break
        offer = parse_message(data)
        if offer and offer.transaction == transaction and is_offer(offer):
            found[offer.server or sender] = None
    return list(found)


def is_offer(message: Message) -> bool:
    """Return whether a message offers an address; a proxy offers none."""
    return message.is_answer and message.kind == OFFER and message.yours != UNSPECIFIED
