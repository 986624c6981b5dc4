"""Notices that the machine changed, without asking it again and again.

The kernel tells of devices (udev's events) and of links and addresses (rtnetlink) by netlink.
Nothing in the messages is read: they only say that it is time to look.
"""

import hashlib
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

NETLINK_ROUTE, NETLINK_KOBJECT_UEVENT = 0, 15
KERNEL_EVENTS = 1  # the group of the kernel's own events
LINKS, IPV4, IPV6 = 0x01, 0x10, 0x100  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
QUIET_S = 2.0
LONGEST_S = 20.0
CHUNK_BYTES = 1 << 16
# What changes by itself, all the time, or is a consequence of the rest.
VOLATILE = ("used", "free")

Gather = Callable[[], Mapping[str, Any]]


def digest_of(facts: Mapping[str, Any]) -> str:
    """Return a name for what the facts say."""
    lasting = {name: value for name, value in facts.items() if name not in VOLATILE}
    return hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()[:32]


class Watch:
    """Knows the digest of the facts; `run` is for a thread of its own."""

    def __init__(self, gather: Gather) -> None:
        self._gather = gather
        self._changed = threading.Condition()
        self._digest = digest_of(gather())

    def wait(self, seen: str, timeout_s: float) -> str:
        """Return the digest once it is not `seen`, or after a time."""
        with self._changed:
            self._changed.wait_for(lambda: self._digest != seen, timeout_s)
            return self._digest

    def look(self) -> None:
        """Look again, and tell those who wait."""
        digest = digest_of(self._gather())
        with self._changed:
            if digest != self._digest:
                self._digest = digest
                self._changed.notify_all()

    def run(self) -> None:
        """Look whenever the kernel told of a change, once it is quiet for a moment."""
        groups = {NETLINK_KOBJECT_UEVENT: KERNEL_EVENTS, NETLINK_ROUTE: LINKS | IPV4 | IPV6}
        sockets = [open_netlink(family, group) for family, group in groups.items()]
        self.look()  # what changed before the sockets were open
        while True:
            wait_for_events(sockets)
            self.look()


def open_netlink(family: int, groups: int) -> socket.socket:
    """Return a socket that gets the messages of groups."""
    found = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
    found.bind((0, groups))
    found.setblocking(False)
    return found


def wait_for_events(
    sockets: list[socket.socket], quiet_s: float = QUIET_S, longest_s: float = LONGEST_S
) -> None:
    """Return once there were events and then none for a while, or there is no end of them."""
    poll = select.poll()
    for source in sockets:
        poll.register(source, select.POLLIN)
    poll.poll()
    end = time.monotonic() + longest_s
    while time.monotonic() < end:
        for source in sockets:
            drain(source)
        if not poll.poll(quiet_s * 1000):
            return


def drain(source: socket.socket) -> None:
    """Read all messages; those that the kernel had to drop don't matter."""
    while True:
        try:
            source.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: some were dropped
            continue
