"""Watches whether the routers of several links answer: by ARP, or by IPv6's neighbour discovery."""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from node.network.arp import wait_for_neighbour
from node.network.leases import Lease, Source
from node.network.table import Event

if TYPE_CHECKING:
    from node.network.clients import Feed

PROBE_S = 0.75
SILENT_S = 2.2  # since the last answer
NOBODY = "0.0.0.0"  # noqa: S104 - an ARP probe (RFC 5227): the address may be another link's

Key = tuple[str, str]  # a link and its router


class Probes:
    """A task for each router that is watched."""

    def __init__(self, feed: "Feed") -> None:
        self.feed = feed
        self.tasks: dict[Key, asyncio.Task[None]] = {}

    def watch(self, leases: tuple[Lease, ...]) -> None:
        """Watch the routers of these leases, and no others."""
        wanted = {(lease.link, lease.router): lease for lease in leases}
        for key in [key for key in self.tasks if key not in wanted]:
            self.tasks.pop(key).cancel()
        for key, lease in wanted.items():
            if key not in self.tasks:
                self.tasks[key] = asyncio.create_task(self.probe(lease))

    async def probe(self, lease: Lease) -> None:
        """Ask again and again; tell when the router falls silent, and when it answers."""
        seen_at, is_silent = time.monotonic(), False
        while True:
            began_at = time.monotonic()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(PROBE_S):
                    await ask(lease)
                seen_at = time.monotonic()
            was_silent, is_silent = is_silent, time.monotonic() - seen_at >= SILENT_S
            if is_silent != was_silent:
                event = Event.SILENT if is_silent else Event.ANSWERED
                self.feed(event, lease.link, None, "")
            await asyncio.sleep(max(began_at + PROBE_S - time.monotonic(), 0.0))


async def ask(lease: Lease) -> None:
    """Ask the lease's router, and return when it has answered."""
    if lease.interface.version == 4:
        own = NOBODY if lease.source is Source.STATIC else str(lease.interface.ip)
        await wait_for_neighbour(lease.link, own, lease.router)
        return
    from node.network.discovery import wait_for_neighbour_6  # most networks are of IPv4

    await wait_for_neighbour_6(lease.link, lease.router)
