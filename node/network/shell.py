"""The shell around `Machine`: reads the kernel, feeds the machine and does what it says."""

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import replace
from functools import partial
from pathlib import Path

from common.files import write_atomic
from common.notify import notify_ready
from node.log import log as write_log
from node.model import NodeError
from node.network.advertisements import Advertisement, Advertisements
from node.network.arp import announce
from node.network.cards import Cards
from node.network.clients import Clients
from node.network.interfaces import Interfaces
from node.network.leases import Lease, Source, Told, resolv_conf
from node.network.links import describe_link, has_carrier
from node.network.machine import Machine
from node.network.probes import Probes
from node.network.slaac import find_automatic, find_kernel_router
from node.network.status import Status
from node.network.table import (
    Action,
    Assign,
    Event,
    Hopeless,
    Input,
    Probe,
    Seek,
    State,
    Tell,
    Unassign,
    Up,
)

SCAN_S = 2.0  # the kernel tells of changes; this is for what it does not
WAKE_S = 0.02  # changes come in bursts

log = partial(write_log, "network")


def tell_hopeless() -> None:
    """Show the code of a node that has no network."""
    from common.bootcodes import describe  # nearly no node needs it here

    write_log("Zero-OS", describe("ZB40"))


class Network:
    """The machine, its clients, and the kernel."""

    def __init__(
        self,
        interfaces: Interfaces,
        cards: Cards,
        advertisements: Advertisements,
        resolv_conf: Path,
        status: Status,
    ) -> None:
        self.interfaces = interfaces
        self.cards = cards
        self.advertisements = advertisements
        self.plan = cards.plan
        self.resolv_conf = resolv_conf
        self.status = status
        self.is_changed = asyncio.Event()
        self.events: deque[tuple[Event, str, Input]] = deque()
        self.clients = Clients(self.plan, self.feed, self.decide, self.is_changed.set)
        self.probes = Probes(self.feed)
        self.machine = Machine(time.monotonic())
        self.refused: dict[str, str] = {}  # links whose leases the kernel has just refused
        self.unwritten = ""  # /etc/resolv.conf, if that could not be written
        self.write_fault = ""

    async def serve(self) -> None:
        """Keep the network up; never returns."""
        while True:
            self.is_changed.clear()
            await self.scan()
            await self.do(self.machine.tick(time.monotonic()))
            while self.events:
                await self.do(self.machine.handle(*self.events.popleft()))
            self.write_name_servers()
            self.status.write(self.machine)
            await self.wait_for_change()

    async def close(self) -> None:
        """Give all leases back and remove what they have set."""
        self.probes.watch(())
        await self.clients.stop(list(self.machine.links))
        await self.interfaces.clear()

    def feed(self, event: Event, name: str, what: Lease | Source | None, reason: str) -> None:
        """Take an event of a client, and begin a round for it."""
        self.queue(event, name, what, reason)
        self.is_changed.set()

    def queue(
        self, event: Event, name: str, what: Lease | Source | None = None, reason: str = ""
    ) -> None:
        """Take an event of this round, with the words of the command line in place of a lease's."""
        lease = self.amend(what) if isinstance(what, Lease) else None
        source = what if isinstance(what, Source) else None
        self.events.append((event, name, Input(time.monotonic(), lease, source, reason)))

    def amend(self, lease: Lease) -> Lease:
        """Return a lease with what the command line and, for IPv6, routers say beside it."""
        heard = self.advertisements.heard.get(lease.link, Advertisement())
        told = self.clients.stateless.get(lease.link, Told())
        mtu, servers, search = lease.mtu, lease.name_servers, lease.search
        if lease.source in (Source.ROUTER, Source.DHCP6):
            mtu, servers = heard.mtu, servers or heard.name_servers or told.name_servers
            search = search or told.search
        if lease.source is Source.DHCP6:
            lease = replace(lease, router=find_kernel_router(lease.link))
        servers, mtu = self.plan.name_servers or servers, self.plan.mtu or mtu
        return replace(lease, name_servers=servers, search=search, mtu=mtu)

    async def scan(self) -> None:
        """Tell the machine what the kernel shows."""
        names = await self.cards.links()
        for name in [name for name in self.machine.links if name not in names]:
            self.queue(Event.GONE, name)
        for name in names:
            if name not in self.machine.links:
                await self.find(name)
            self.queue(Event.PLUGGED if has_carrier(name) else Event.UNPLUGGED, name)
            self.scan_ipv6(name)

    async def find(self, name: str) -> None:
        """Set up a link that is new."""
        try:
            await self.interfaces.set_up(name)
            if self.plan.mtu:
                await self.interfaces.force_mtu(name, self.plan.mtu)
        except NodeError as error:
            log(f"{error}")
        else:
            self.queue(Event.FOUND, name)

    def scan_ipv6(self, name: str) -> None:
        """Tell the machine what the kernel has made of a router's advertisements."""
        link = self.machine.links.get(name)
        if link is None or link.state not in (State.TRYING, State.HELD):
            return
        heard = self.advertisements.heard.get(name, Advertisement())
        if heard.is_managed or heard.has_other:
            self.clients.ask_6(name, is_stateful=heard.is_managed)
        known = link.leases.get(Source.ROUTER)
        lease = find_automatic(name, (), others=self.interfaces.own_addresses())
        if known and not lease:
            self.decide(f"{name}: no router advertises")
            self.queue(Event.WITHDRAWN, name, Source.ROUTER, "no router advertises")
        for found in (lease, link.leases.get(Source.DHCP6)):
            if found and self.amend(found) != link.leases.get(found.source):
                self.queue(Event.GRANTED, name, found)

    async def do(self, actions: list[Action]) -> None:
        """Do what the machine says; tell it which links' leases the kernel has refused."""
        for action in actions:
            await self.do_one(action)
        for name, reason in self.refused.items():
            self.queue(Event.REFUSED, name, None, reason)
        self.refused.clear()

    async def do_one(self, action: Action) -> None:
        """Do one thing."""
        match action:
            case Seek(name, True):
                self.decide(f"trying {describe_link(name)}")
                self.clients.start(name)
            case Seek(name, False):
                await self.clients.stop([name])
                self.interfaces.forget_ipv6(name)
                self.advertisements.heard.pop(name, None)
            case Assign(lease, metric):
                await self.assign(lease, metric)
            case Unassign(lease):
                await self.interfaces.unassign(lease)
            case Probe(leases):
                self.probes.watch(leases)
            case Up(lease, instead):
                self.go_up(lease, instead)
            case Tell(text, is_decision):
                self.decide(text) if is_decision else log(text)
            case Hopeless():
                tell_hopeless()

    async def assign(self, lease: Lease, metric: int) -> None:
        """Set a lease's address and routes; note it if the kernel refuses."""
        try:
            await self.interfaces.assign(lease, metric)
        except NodeError as error:
            self.refused[lease.link] = f"{error}"

    def go_up(self, lease: Lease, instead: str) -> None:
        """Use the name servers of the chosen link, and tell that the network is up."""
        if lease.link in self.refused:
            return
        self.unwritten = resolv_conf(lease)
        self.write_name_servers()
        self.decide(f"up: {lease}" + (f"; instead of {instead}" if instead else ""))
        if lease.interface.version == 4:
            announce(lease.link, str(lease.interface.ip))
        notify_ready(str(lease))

    def decide(self, text: str) -> None:
        """Log a decision, and keep it for status."""
        log(text)
        self.status.note(text)

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

    async def wait_for_change(self) -> None:
        """Wait until something changes or is due."""
        now = time.monotonic()
        wait_s = min(self.machine.next_due(now) - now, SCAN_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(wait_s, 0.0)):
                await self.is_changed.wait()
            await asyncio.sleep(WAKE_S)
