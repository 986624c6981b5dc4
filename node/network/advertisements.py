"""What the kernel leaves to others in routers' advertisements: name servers (RDNSS, RFC 8106) and
whether to ask by DHCPv6.

Any machine on the network can send one, so nothing in it is trusted: what can't be parsed is
ignored, and it counts only if it comes from this very network (RFC 4861, section 6.1.2).
"""

import asyncio
import contextlib
import ipaddress
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

from node.network.discovery import open_socket
from node.network.leases import MAX_NAME_SERVERS, host_address

if TYPE_CHECKING:
    from collections.abc import Callable

ROUTER_ADVERTISEMENT = 134
FIXED_BYTES = 16
RDNSS = 25
RDNSS_HEAD_BYTES, ADDRESS_BYTES, UNIT_BYTES = 8, 16, 8
LIFETIME = struct.Struct("!4xI")
MTU, MTU_BYTES = 5, 8
MANAGED, OTHER = 0x80, 0x40  # flags: DHCPv6 has addresses; or only what is beside them
FLAGS_AT = 5
NOT_FORWARDED = 255  # the hop limit of a message that no router has passed on
MOST_BYTES = 9216
CONTROL_BYTES = 64


class Advertisement(NamedTuple):
    """What a router has said last; `mtu` is 0 if it names none."""

    name_servers: tuple[str, ...] = ()
    is_managed: bool = False
    has_other: bool = False
    mtu: int = 0


class Advertisements:
    """Listens from `open` until `close`; `heard` is the last message of each link."""

    def __init__(self) -> None:
        self.heard: dict[str, Advertisement] = {}
        self.wake: Callable[[], None] = lambda: None
        self.socket: socket.socket | None = None

    def open(self) -> None:
        """Start listening, if there is IPv6."""
        with contextlib.suppress(OSError):
            self.socket = open_socket(ROUTER_ADVERTISEMENT)
            asyncio.get_running_loop().add_reader(self.socket, self.receive)

    def close(self) -> None:
        """Stop listening."""
        if self.socket:
            asyncio.get_running_loop().remove_reader(self.socket)
            self.socket.close()
            self.socket = None

    def receive(self) -> None:
        """Take one message."""
        assert self.socket is not None
        try:
            data, control, _, sender = self.socket.recvmsg(MOST_BYTES, CONTROL_BYTES)
            link = socket.if_indextoname(sender[3])
        except OSError:
            return
        hops = [int.from_bytes(value[:1], "little") for _, _, value in control]
        if hops == [NOT_FORWARDED] and sender[0].startswith("fe80:"):
            heard = parse_advertisement(data, link)
            if heard is not None and heard != self.heard.get(link):
                self.heard[link] = heard
                self.wake()


def parse_advertisement(data: bytes, link: str) -> Advertisement | None:
    """Return what a router's advertisement says; None if it is none, or is broken."""
    if len(data) < FIXED_BYTES or data[0] != ROUTER_ADVERTISEMENT:
        return None
    servers: list[str] = []
    at, mtu = FIXED_BYTES, 0
    while at + 2 <= len(data):
        kind, size = data[at], data[at + 1] * UNIT_BYTES
        option = data[at : at + size]
        if size == 0 or len(option) < size:
            return None
        if kind == RDNSS and size > RDNSS_HEAD_BYTES and LIFETIME.unpack_from(option)[0]:
            servers += parse_addresses(option[RDNSS_HEAD_BYTES:], link)
        if kind == MTU and size == MTU_BYTES:
            mtu = LIFETIME.unpack_from(option)[0]
        at += size
    chosen = tuple(dict.fromkeys(servers))[:MAX_NAME_SERVERS]
    flags = data[FLAGS_AT]
    return Advertisement(chosen, bool(flags & MANAGED), bool(flags & OTHER), mtu)


def parse_addresses(data: bytes, link: str) -> list[str]:
    """Return the addresses of machines in a list of addresses."""
    found = []
    for at in range(0, len(data) - ADDRESS_BYTES + 1, ADDRESS_BYTES):
        address = ipaddress.IPv6Address(data[at : at + ADDRESS_BYTES])
        with contextlib.suppress(ValueError):
            text = host_address(str(address), ipaddress.ip_address)
            found.append(f"{text}%{link}" if address.is_link_local else text)
    return found
