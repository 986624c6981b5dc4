"""The name servers in routers' advertisements (RDNSS, RFC 8106): the kernel leaves them to others.

Any machine on the network can send one, so nothing in it is trusted: what can't be parsed is
ignored, and it counts only if it comes from this very network (RFC 4861, section 6.1.2).
"""

import asyncio
import contextlib
import ipaddress
import socket
import struct

from node.network.leases import MAX_NAME_SERVERS, host_address

ROUTER_ADVERTISEMENT = 134
FIXED_BYTES = 16
RDNSS = 25
RDNSS_HEAD_BYTES, ADDRESS_BYTES, UNIT_BYTES = 8, 16, 8
LIFETIME = struct.Struct("!4xI")
ICMP6_FILTER = 1  # <linux/icmpv6.h>; a set bit blocks
FILTER_WORDS = 8
NOT_FORWARDED = 255  # the hop limit of a message that no router has passed on
MOST_BYTES = 9216
CONTROL_BYTES = 64


class Advertisements:
    """Listens from `open` until `close`; `name_servers` are the last ones heard, by link."""

    def __init__(self) -> None:
        self.name_servers: dict[str, tuple[str, ...]] = {}
        self.socket: socket.socket | None = None

    def open(self) -> None:
        """Start listening, if there is IPv6."""
        with contextlib.suppress(OSError):
            self.socket = open_socket()
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
            servers = parse_advertisement(data, link)
            if servers is not None:
                self.name_servers[link] = servers


def open_socket() -> socket.socket:
    """Return a socket that gets advertisements only, with their hop limits."""
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    try:
        raw.setblocking(False)
        words = [0xFFFFFFFF] * FILTER_WORDS
        words[ROUTER_ADVERTISEMENT // 32] ^= 1 << ROUTER_ADVERTISEMENT % 32
        raw.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, struct.pack("=8I", *words))
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    except OSError:
        raw.close()
        raise
    return raw


def parse_advertisement(data: bytes, link: str) -> tuple[str, ...] | None:
    """Return the name servers in a router's advertisement; None if it is none, or is broken."""
    if len(data) < FIXED_BYTES or data[0] != ROUTER_ADVERTISEMENT:
        return None
    servers: list[str] = []
    at = FIXED_BYTES
    while at + 2 <= len(data):
        kind, size = data[at], data[at + 1] * UNIT_BYTES
        option = data[at : at + size]
        if size == 0 or len(option) < size:
            return None
        if kind == RDNSS and size > RDNSS_HEAD_BYTES and LIFETIME.unpack_from(option)[0]:
            servers += parse_addresses(option[RDNSS_HEAD_BYTES:], link)
        at += size
    return tuple(dict.fromkeys(servers))[:MAX_NAME_SERVERS]


def parse_addresses(data: bytes, link: str) -> list[str]:
    """Return the addresses of machines in a list of addresses."""
    found = []
    for at in range(0, len(data) - ADDRESS_BYTES + 1, ADDRESS_BYTES):
        address = ipaddress.IPv6Address(data[at : at + ADDRESS_BYTES])
        with contextlib.suppress(ValueError):
            text = host_address(str(address), ipaddress.ip_address)
            found.append(f"{text}%{link}" if address.is_link_local else text)
    return found
