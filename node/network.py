"""Brings the network up and keeps its lease: every wired link is tried, one is chosen.

Each link with a cable gets its own DHCP client; the first complete lease (address, router, name
server) wins. When none is complete after a while, the best of what came is taken. What was tried
and why is logged; nothing is given up, since a cable may be plugged in tomorrow.
"""

import asyncio
import contextlib
import signal
import time
from pathlib import Path

from common.files import write_atomic
from common.notify import notify_ready
from node.interfaces import Interfaces
from node.leases import Lease, choose_lease, parse_lease, resolv_conf
from node.links import describe_link, has_carrier, wired_links
from node.model import NodeError
from node.netlink import (
    AsyncDHCPClient,
    AsyncIPRoute,
    ClientConfig,
    State,
    Trigger,
    hook,
    randomized_increasing_backoff,
)
from node.netlink import Lease as DhcpLease

RESOLV_CONF = Path("/etc/resolv.conf")
SCAN_INTERVAL_S = 0.2
PATIENCE_S = 10.0  # how long a complete lease is waited for once there is an incomplete one
ATTEMPT_S = 20.0  # then a client is started anew, with a new transaction
RETRY_S = 10.0  # how long a link rests after a fault
REPORT_INTERVAL_S = 15.0
STOP_S = 5.0
CARRIER_INTERVAL_S = 2.0
CARRIER_PATIENCE_S = 10.0


class MemoryLease(DhcpLease):  # type: ignore[misc]
    """A lease that is kept nowhere: a node leaves nothing behind."""

    def dump(self) -> None:
        """Write nothing."""

    @classmethod
    def load(cls, interface: str) -> None:
        """Find nothing."""
        del interface


class Network:
    """The links being tried, the leases that came, and the one that was chosen."""

    def __init__(self, interfaces: Interfaces) -> None:
        self.interfaces = interfaces
        self.clients: dict[str, asyncio.Task[None]] = {}
        self.retry_at: dict[str, float] = {}
        self.offers: dict[str, Lease] = {}
        self.chosen: Lease | None = None
        self.is_changed = asyncio.Event()

    async def scan(self) -> None:
        """Start a client for every wired link that has none."""
        now = time.monotonic()
        for name in wired_links():
            client = self.clients.get(name)
            if (client is None or client.done()) and self.retry_at.get(name, 0.0) <= now:
                log(f"trying {describe_link(name)}")
                self.clients[name] = asyncio.create_task(self.keep_lease(name))

    async def keep_lease(self, name: str) -> None:
        """Hold a lease on link `name`; any fault is logged, and the link tried anew later."""
        try:
            await self.interfaces.set_up(name)
            while not has_carrier(name):
                await asyncio.sleep(SCAN_INTERVAL_S)
            while True:
                await self.run_client(name)
        except TimeoutError:
            log(f"{name}: no DHCP server answered within {ATTEMPT_S:g} s")
        except Exception as error:  # whatever a client meets, the other links go on
            self.retry_at[name] = time.monotonic() + RETRY_S
            log(f"{name}: {error or type(error).__name__}; again in {RETRY_S:g} s")

    async def run_client(self, name: str) -> None:
        """Get a lease and keep it until it is lost; `TimeoutError` where none is to be had."""
        is_lost = asyncio.Event()

        @hook(Trigger.BOUND, Trigger.RENEWED, Trigger.REBOUND)  # type: ignore[untyped-decorator]
        async def granted(lease: DhcpLease) -> None:
            try:
                await self.take(parse_lease(name, lease.ack))
            except Exception as error:  # pyroute2 would only log it and keep the lease
                log(f"{error}")
                is_lost.set()

        @hook(Trigger.UNBOUND, Trigger.EXPIRED)  # type: ignore[untyped-decorator]
        async def lost(lease: DhcpLease) -> None:
            del lease
            is_lost.set()

        config = ClientConfig(
            interface=name,
            lease_type=MemoryLease,
            hooks=(granted, lost),
            retransmission=lambda: randomized_increasing_backoff(1.0, 8.0),
            handle_signals=False,
            vendor_id="zero-os",
            host_name=None,
        )
        try:
            async with AsyncDHCPClient(config) as client:
                await client.bootstrap()
                await client.wait_for_state(State.BOUND, timeout=ATTEMPT_S)
                await is_lost.wait()
                log(f"{name}: the lease is lost")
        finally:
            await self.drop(name)

    async def take(self, lease: Lease) -> None:
        """Note what link `lease.link` was given; a change of the chosen one is carried out."""
        self.offers[lease.link] = lease
        self.is_changed.set()
        if self.chosen and self.chosen.link == lease.link and self.chosen != lease:
            await self.apply(lease)

    async def drop(self, name: str) -> None:
        """Forget the lease of link `name` and take its address away."""
        self.offers.pop(name, None)
        if self.chosen and self.chosen.link == name:
            self.chosen = None
            self.is_changed.set()
        await self.interfaces.clear(name)

    async def apply(self, lease: Lease) -> None:
        """Give the node the address, the default route and the name servers of `lease`."""
        await self.interfaces.assign(lease)
        write_atomic(RESOLV_CONF, resolv_conf(lease).encode())
        self.chosen = lease
        log(f"up: {lease}")

    async def try_lease(self, lease: Lease) -> None:
        """Apply `lease`; when the kernel refuses it, its link rests and the others are tried."""
        try:
            await self.apply(lease)
        except NodeError as error:
            log(f"{error}")
            self.retry_at[lease.link] = time.monotonic() + RETRY_S
            await self.stop_clients([lease.link])

    async def choose(self) -> None:
        """Wait for a lease that will do, apply it and stop trying the other links."""
        first_offer_at = None
        reported_at = time.monotonic()
        while self.chosen is None:
            await self.scan()
            now = time.monotonic()
            first_offer_at = first_offer_at or (now if self.offers else None)
            is_patience_over = first_offer_at is not None and now - first_offer_at > PATIENCE_S
            lease = choose_lease(list(self.offers.values()), is_patience_over=is_patience_over)
            if lease:
                await self.try_lease(lease)
            elif now - reported_at > REPORT_INTERVAL_S:
                reported_at = now
                log(f"still waiting for a lease ({self.describe()})")
            else:
                await self.wait_for_change(SCAN_INTERVAL_S)

    def describe(self) -> str:
        """Return what each wired link is waiting for."""
        states = [
            f"{name}: {'cable' if has_carrier(name) else 'no cable'}" for name in self.clients
        ]
        return ", ".join(states) or "no wired network card found"

    async def wait_for_change(self, timeout_s: float | None = None) -> None:
        """Sleep until a lease came or went, or `timeout_s` is over."""
        self.is_changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.is_changed.wait(), timeout_s)

    async def stop_clients(self, names: list[str]) -> None:
        """End the clients of `names`; each gives its lease back."""
        tasks = [self.clients.pop(name) for name in names]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)

    async def serve(self) -> None:
        """Keep the network up for ever."""
        while True:
            await self.choose()
            chosen = self.chosen
            if chosen is None:
                continue
            await self.stop_clients([name for name in self.clients if name != chosen.link])
            notify_ready(str(chosen))
            await self.keep_chosen(chosen.link)

    async def keep_chosen(self, name: str) -> None:
        """Return when the lease of link `name` is lost, or its cable has been out for a while."""
        seen_at = time.monotonic()
        while self.chosen is not None:
            await self.wait_for_change(CARRIER_INTERVAL_S)
            now = time.monotonic()
            seen_at = now if has_carrier(name) else seen_at
            if now - seen_at > CARRIER_PATIENCE_S:
                log(f"{name}: the cable is out")
                await self.stop_clients([name])


async def run() -> None:
    """Serve until SIGTERM, then give the leases back."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    async with AsyncIPRoute() as routes:
        interfaces = Interfaces(routes)
        network = Network(interfaces)
        await interfaces.set_up("lo")
        try:
            await network.serve()
        finally:
            await network.stop_clients(list(network.clients))


def main() -> int:
    """Run the network service; it ends on SIGTERM only."""
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(run())
    return 0


def log(text: str) -> None:
    """Write one line to where zinit collects them."""
    print(f"network: {text}", flush=True)
