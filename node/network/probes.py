"""Watches whether the routers of several links answer: by ARP, or by IPv6's neighbour discovery."""

import asyncio
import time
from typing import TYPE_CHECKING

from node.network.arp import wait_for_neighbour
from node.network.leases import Lease, Source
from node.network.table import Event

if TYPE_CHECKING:
    from node.network.clients import Feed

PAUSE_S = 0.75  # between an answer and the next question
AGAIN_S = 0.75  # before a question is asked again
SILENT_S = 2.5  # without an answer
BUSY_S = 0.5
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
        before: bool | None = None
        while True:
            answers = await self.does_answer(lease)
            if answers not in (before, None):
                before = answers
                event = Event.ANSWERED if answers else Event.SILENT
                self.feed(event, lease.link, None, "")
            await asyncio.sleep(PAUSE_S)

    @staticmethod
    async def does_answer(lease: Lease) -> bool | None:
        """Return whether the router answers; None if that can't be told."""
        begun_at = time.monotonic()
        try:
            async with asyncio.timeout(SILENT_S):
                await ask(lease)
        except TimeoutError:
            is_busy = time.monotonic() - begun_at > SILENT_S + BUSY_S
            return None if is_busy else False  # a node that is too busy may have missed it
        except OSError:
            return None
        return True


async def ask(lease: Lease) -> None:
    """Ask the lease's router until it has answered."""
    if lease.interface.version == 4:
        own = NOBODY if lease.source is Source.STATIC else str(lease.interface.ip)
        await wait_for_neighbour(lease.link, own, lease.router, AGAIN_S)
        return
    from node.network.discovery import wait_for_neighbour_6  # most networks are of IPv4

    await wait_for_neighbour_6(lease.link, lease.router, AGAIN_S)
