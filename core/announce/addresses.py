"""The addresses of this machine that others on its networks can reach, and when they change."""

import select
import socket
import time
from dataclasses import dataclass
from ipaddress import ip_address

import ifaddr

RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x01, 0x10, 0x100  # linux/rtnetlink.h
GROUPS = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR
QUIET_S = 1.0
LONGEST_S = 10.0
CHUNK_BYTES = 1 << 16
LOOPBACK = "lo"


@dataclass(frozen=True)
class Addresses:
    """The addresses of the cards: IPv4, IPv6, and the numbers of the cards that have IPv6."""

    ipv4: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()
    ipv6_cards: tuple[int, ...] = ()

    @property
    def all(self) -> list[str]:
        """Return every address."""
        return [*self.ipv4, *self.ipv6]

    @property
    def interfaces(self) -> list[str | int]:
        """Return where to announce, as zeroconf takes it."""
        return [*self.ipv4, *self.ipv6_cards]


def read_addresses() -> Addresses:
    """Return the addresses that the machine has now."""
    ipv4, ipv6, cards = set(), set(), set()
    for adapter in ifaddr.get_adapters():
        for one in adapter.ips if adapter.name != LOOPBACK else ():
            if isinstance(one.ip, str):
                ipv4.add(one.ip)
            else:
                ipv6.add(str(ip_address(one.ip[0])))
                cards.add(adapter.index or 0)
    return Addresses(tuple(sorted(ipv4)), tuple(sorted(ipv6)), tuple(sorted(cards - {0})))


def open_changes() -> socket.socket:
    """Return a socket that is readable whenever links or addresses have changed."""
    changes = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    changes.bind((0, GROUPS))
    changes.setblocking(False)
    return changes


def wait_for_quiet(changes: socket.socket) -> None:
    """Read the news, and wait until there are none for a moment."""
    deadline = time.monotonic() + LONGEST_S
    poll = select.poll()
    poll.register(changes, select.POLLIN)
    while time.monotonic() < deadline and poll.poll(QUIET_S * 1000):
        try:
            changes.recv(CHUNK_BYTES)
        except OSError:  # it was more than the kernel keeps: that is news, too
            continue
