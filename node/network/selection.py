"""Chooses the link of a node: every wired link is tried, and the lease of one is applied.

Each link with a carrier has its own DHCP client, or holds the static address of the command line.
The first complete lease wins: with address, router and name server, or static with a router that
answers. If none is complete after `PATIENCE_S`, the best incomplete one wins, or what a router has
advertised for IPv6; the DHCP client of that link goes on, and its lease is used when it comes. What
a router advertises later replaces a lease with which less can be done.
Every attempt and its outcome is logged. Links are tried for as long as the node runs, since a cable
may be plugged in at any time.
"""

import asyncio
import contextlib
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from common.files import write_atomic
from common.notify import notify_ready
from node.backoff import backoff_delays
from node.log import log as write_log
from node.model import NodeError
from node.network.advertisements import Advertisements
from node.network.arp import wait_for_neighbour
from node.network.cards import Cards
from node.network.dhcp.client import ATTEMPT_S, hold_lease
from node.network.interfaces import Interfaces
from node.network.leases import Lease, Source, choose_lease, resolv_conf
from node.network.links import describe_link, has_carrier
from node.network.slaac import find_automatic

if TYPE_CHECKING:
    from collections.abc import Iterator

SCAN_INTERVAL_S = 0.2
PATIENCE_S = 10.0  # from the first incomplete lease
RETRY_S = 10.0  # before a link is tried again whose lease the kernel refuses
FIRST_PAUSE_S = 1.0  # after a lease that was lost or refused; each pause is longer than the last
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0  # a lease that was held longer makes the next pause the first again
REPORT_INTERVAL_S = 15.0
IPV4 = 4
HOPELESS_S = 60.0  # after that the screen shows the code of a node without network, and again
STOP_S = 5.0
CARRIER_INTERVAL_S = 2.0
CARRIER_PATIENCE_S = 10.0

log = partial(write_log, "network")


def tell_hopeless() -> None:
    """Show the code of a node that has no network."""
    from common.bootcodes import describe  # nearly no node needs it here

    write_log("Zero-OS", describe("ZB40"))


class Network:
    """The links being tried, the leases offered, and the lease in use."""

    def __init__(
        self,
        interfaces: Interfaces,
        cards: Cards,
        advertisements: Advertisements,
        resolv_conf: Path,
    ) -> None:
        self.interfaces = interfaces
        self.cards = cards
        self.advertisements = advertisements
        self.plan = cards.plan
        self.resolv_conf = resolv_conf
        self.clients: dict[str, asyncio.Task[None]] = {}
        self.retry_at: dict[str, float] = {}
        self.pauses: dict[str, Iterator[float]] = {}
        self.offers: dict[str, Lease] = {}
        self.chosen: Lease | None = None
        self.unwritten = ""  # /etc/resolv.conf, if that could not be written
        self.write_fault = ""
        self.is_changed = asyncio.Event()

    async def serve(self) -> None:
        """Keep the network up; never returns."""
        while True:
            await self.choose()
            chosen = self.chosen
            if chosen is None:
                continue
            await self.stop_clients([name for name in self.clients if name != chosen.link])
            notify_ready(str(chosen))
            await self.keep_chosen(chosen)

    async def choose(self) -> None:
        """Wait for an acceptable lease and apply it."""
        first_offer_at = None
        began_at = reported_at = time.monotonic()
        while self.chosen is None:
            await self.scan()
            now = time.monotonic()
            automatic = self.find_automatic()
            if self.offers or automatic:
                first_offer_at = first_offer_at or now
            is_patience_over = first_offer_at is not None and now - first_offer_at > PATIENCE_S
            offers = [*self.offers.values(), *(automatic if is_patience_over else ())]
            lease = choose_lease(offers, is_patience_over=is_patience_over)
            if lease:
                await self.try_lease(lease)
            elif now - reported_at > REPORT_INTERVAL_S:
                reported_at = now
                log(f"still waiting for a lease ({self.describe()})")
                if now - began_at > HOPELESS_S:
                    tell_hopeless()
                    began_at = now
            else:
                await self.wait_for_change(SCAN_INTERVAL_S)

    async def scan(self) -> None:
        """Start a client for every link that has none."""
        for name in await self.cards.links():
            self.start_client(name)

    def start_client(self, name: str) -> None:
        """Start a client for link `name`, unless one runs or a pause is not over."""
        client = self.clients.get(name)
        is_free = client is None or client.done()
        if is_free and self.retry_at.get(name, 0.0) <= time.monotonic():
            log(f"trying {describe_link(name)}")
            self.clients[name] = asyncio.create_task(self.keep_lease(name))

    def find_automatic(self) -> list[Lease]:
        """Return what routers have advertised on the links that are tried."""
        heard = self.advertisements.name_servers
        found = [
            find_automatic(name, self.plan.name_servers or heard.get(name, ()))
            for name in self.clients
        ]
        return [lease for lease in found if lease]

    async def keep_lease(self, name: str) -> None:
        """Hold a lease on link `name`; log how that ended, after which the link is tried again."""
        begun_at = time.monotonic()
        try:
            await self.interfaces.set_up(name)
            while not has_carrier(name):
                await asyncio.sleep(SCAN_INTERVAL_S)
            begun_at = time.monotonic()
            try:
                await self.hold(name)
            finally:
                await self.drop(name)
        except TimeoutError:
            log(f"{name}: no DHCP server answered within {ATTEMPT_S:g} s")
        except Exception as error:  # an error on one link must not stop the others
            pause_s = self.next_pause(name, time.monotonic() - begun_at)
            self.retry_at[name] = time.monotonic() + pause_s
            log(f"{name}: {error or type(error).__name__}; again in {pause_s:.1f} s")

    async def hold(self, name: str) -> None:
        """Hold the static address of the plan, or a lease by DHCP; returns only by an exception."""
        static = self.plan.static_lease(name)
        if static is None:
            await hold_lease(name, self.take)
            return
        if static.router and static.interface.version == IPV4:
            # It may belong to another card, and is used here in the end all the same.
            await self.take(replace(static, is_proven=False))
            await wait_for_neighbour(name, str(static.interface.ip), static.router)
        await self.take(static)
        await asyncio.Event().wait()  # until it is cancelled

    def next_pause(self, name: str, held_s: float) -> float:
        """Return the pause before link `name` is tried again, after `held_s` with a lease."""
        if held_s > STEADY_S:
            self.pauses.pop(name, None)
        delays = self.pauses.setdefault(name, backoff_delays(FIRST_PAUSE_S, LONGEST_PAUSE_S))
        return next(delays)

    async def take(self, lease: Lease) -> None:
        """Record the lease of link `lease.link`; apply it if it changes the lease in use."""
        if self.plan.name_servers:
            lease = replace(lease, name_servers=self.plan.name_servers)
        self.offers[lease.link] = lease
        self.is_changed.set()
        chosen = self.chosen
        if chosen is None or chosen.link != lease.link or chosen == lease:
            return
        if chosen.source is not Source.ROUTER or lease.rank >= chosen.rank:
            await self.apply(lease)

    async def drop(self, name: str) -> None:
        """Forget the lease of link `name` and remove its address."""
        self.offers.pop(name, None)
        is_own = self.chosen is not None and self.chosen.source is not Source.ROUTER
        if self.chosen and is_own and self.chosen.link == name:
            self.chosen = None
            self.is_changed.set()
        await self.interfaces.clear(name)

    async def apply(self, lease: Lease) -> None:
        """Set the address, the default route and the name servers of `lease`."""
        if lease.source is not Source.ROUTER:  # there the kernel has set all but the name servers
            await self.interfaces.assign(lease)
        self.chosen = lease
        self.unwritten = resolv_conf(lease)
        self.write_name_servers()
        log(f"up: {lease}")

    def write_name_servers(self) -> None:
        """Write /etc/resolv.conf, later if the disk is full: the network must stay up."""
        if not self.unwritten:
            return
        try:
            write_atomic(self.resolv_conf, self.unwritten.encode())
            self.unwritten = self.write_fault = ""
        except OSError as error:
            if self.write_fault != str(error):
                log(f"cannot write the name servers: {error}; trying again")
            self.write_fault = str(error)

    async def try_lease(self, lease: Lease) -> None:
        """Apply `lease`; if the kernel refuses it, pause its link and go on with the others."""
        try:
            await self.apply(lease)
        except NodeError as error:
            log(f"{error}")
            self.retry_at[lease.link] = time.monotonic() + RETRY_S
            await self.stop_clients([lease.link])

    async def keep_chosen(self, first: Lease) -> None:
        """Return when the lease is lost, or its link's carrier for `CARRIER_PATIENCE_S`."""
        name = first.link
        seen_at = time.monotonic()
        while self.chosen is not None:
            await self.wait_for_change(CARRIER_INTERVAL_S)
            self.write_name_servers()
            now = time.monotonic()
            seen_at = now if await self.is_alive(name) else seen_at
            if now - seen_at > CARRIER_PATIENCE_S:
                is_in = has_carrier(name)
                log(f"{name}: {'no router advertises' if is_in else 'the cable is out'}")
                await self.stop_clients([name])
                self.chosen = None

    async def is_alive(self, name: str) -> bool:
        """Return whether the lease in use, on link `name`, can be used still."""
        if self.chosen and self.chosen.source is Source.DHCP:
            await self.prefer_automatic(self.chosen)
        if self.chosen and self.chosen.source is Source.ROUTER:
            return await self.keep_automatic(name) and has_carrier(name)
        return has_carrier(name)

    async def prefer_automatic(self, lease: Lease) -> None:
        """Replace the lease by what a router has advertised since, if more can be done with that.

        A router may start or answer late; without one, the lease leads nowhere.
        """
        found = self.find_automatic()
        if found and found[0].rank > lease.rank:
            await self.interfaces.clear(lease.link)
            await self.apply(found[0])

    async def keep_automatic(self, name: str) -> bool:
        """Follow what routers advertise on link `name`; return whether there is an address."""
        self.start_client(name)  # a DHCP server may still come
        found = self.find_automatic()
        if found and found[0] != self.chosen:
            await self.apply(found[0])
        return bool(found)

    async def wait_for_change(self, timeout_s: float) -> None:
        """Wait until a lease is granted or lost, for at most `timeout_s`."""
        self.is_changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.is_changed.wait(), timeout_s)

    async def stop_clients(self, names: list[str]) -> None:
        """Stop the clients of `names`; each releases its lease."""
        tasks = [self.clients.pop(name) for name in names if name in self.clients]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)

    def describe(self) -> str:
        """Return the state of each wired link, for the log."""
        states = [
            f"{name}: {'cable' if has_carrier(name) else 'no cable'}" for name in self.clients
        ]
        return ", ".join(states) or "no wired network card found"
