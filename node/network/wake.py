"""Tells when the kernel's links, addresses or routes change; what has changed is read elsewhere."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

RTMGRP_LINK, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE = 0x1, 0x100, 0x400  # <linux/rtnetlink.h>
READ_BYTES = 65536
MOST_READS = 64  # a flood must not keep the node from its leases


@contextlib.contextmanager
def watch_kernel(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` after each change, until the block ends."""
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE) as changes:
        changes.bind((0, RTMGRP_LINK | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE))

        def drain() -> None:
            with contextlib.suppress(OSError):  # nothing more, or more than the kernel could keep
                for _ in range(MOST_READS):
                    changes.recv(READ_BYTES)
            tell()

        loop = asyncio.get_running_loop()
        loop.add_reader(changes, drain)
        try:
            yield
        finally:
            loop.remove_reader(changes)
