"""The clients of each link: DHCP, or the static address of the plan; DHCPv6 if a router says so."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from node.backoff import backoff_delays
from node.log import log as write_log
from node.network.arp import wait_for_neighbour
from node.network.dhcp.client import ATTEMPT_S, hold_lease
from node.network.leases import Lease, Source, Told
from node.network.plan import Plan
from node.network.table import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_PAUSE_S = 1.0  # after a lease that was lost or refused; each pause is longer than the last
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0  # a lease that was held longer makes the next pause the first again
STOP_S = 5.0
IPV4 = 4

# What is told: the event, its link, the lease or its source, and why.
Feed = Callable[[Event, str, Lease | Source | None, str], None]
log = partial(write_log, "network")


class Clients:
    """The tasks of each link; what they get goes to `feed`."""

    def __init__(
        self, plan: Plan, feed: Feed, decide: Callable[[str], None], wake: Callable[[], None]
    ) -> None:
        self.plan = plan
        self.feed = feed
        self.decide = decide
        self.wake = wake
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.tasks_6: dict[str, asyncio.Task[None]] = {}
        self.stateless: dict[str, Told] = {}  # what DHCPv6 told beside an address
        self.pauses: dict[str, Iterator[float]] = {}

    def start(self, name: str) -> None:
        """Ask for a lease on link `name`, until `stop`."""
        self.tasks[name] = asyncio.create_task(self.keep(name))

    def ask_6(self, name: str, *, is_stateful: bool) -> None:
        """Ask by DHCPv6, unless it runs: for an address, or only for what is beside it."""
        if name not in self.tasks_6:
            self.tasks_6[name] = asyncio.create_task(self.keep_6(name, is_stateful))

    async def keep(self, name: str) -> None:
        """Hold a lease; log how that ended, and try again after a pause."""
        while True:
            begun_at = time.monotonic()
            try:
                await self.hold(name)
            except TimeoutError:
                log(f"{name}: no DHCP server answered within {ATTEMPT_S:g} s")
            except Exception as error:  # an error on one link must not stop the others
                await self.lose(name, Source.DHCP, error, time.monotonic() - begun_at)

    async def keep_6(self, name: str, is_stateful: bool) -> None:
        """Hold a lease of DHCPv6, or what it tells beside one."""
        from node.network.dhcp6.client import hold_lease as hold_lease_6  # few networks have it

        def note(found: Told) -> None:
            self.stateless[name] = found
            self.wake()

        while True:
            begun_at = time.monotonic()
            try:
                await hold_lease_6(name, self.grant, note, is_stateful=is_stateful)
            except Exception as error:
                await self.lose(name, Source.DHCP6, error, time.monotonic() - begun_at)

    async def lose(self, name: str, source: Source, error: Exception, held_s: float) -> None:
        """Tell that a lease is lost, and wait before the next one is asked for."""
        pause_s = self.next_pause(f"{name} {source.value}", held_s)
        reason = f"{error or type(error).__name__}"
        self.decide(f"{name}: {reason}; again in {pause_s:.1f} s")
        self.feed(Event.WITHDRAWN, name, source, reason)
        await asyncio.sleep(pause_s)

    async def hold(self, name: str) -> None:
        """Hold the static address of the plan, or a lease by DHCP; returns only by an exception."""
        static = self.plan.static_lease(name)
        if static is None:
            await hold_lease(name, self.accept)
            return
        if static.router and static.interface.version == IPV4:
            # It may belong to another card, and is used here in the end all the same.
            self.grant(replace(static, is_proven=False))
            await wait_for_neighbour(name, str(static.interface.ip), static.router)
        self.grant(static)
        await asyncio.Event().wait()  # until it is cancelled

    async def accept(self, lease: Lease) -> None:
        """Take a lease of DHCP."""
        self.grant(lease)

    def grant(self, lease: Lease) -> None:
        """Pass a lease on."""
        self.feed(Event.GRANTED, lease.link, lease, "")

    def next_pause(self, key: str, held_s: float) -> float:
        """Return the pause before a lease is asked for again, after one was held for `held_s`."""
        if held_s > STEADY_S:
            self.pauses.pop(key, None)
        delays = self.pauses.setdefault(key, backoff_delays(FIRST_PAUSE_S, LONGEST_PAUSE_S))
        return next(delays)

    async def stop(self, names: list[str]) -> None:
        """Stop asking on `names`; what is held is given back."""
        both = (self.tasks, self.tasks_6)
        tasks = [found.pop(name) for found in both for name in names if name in found]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)
        for name in names:
            self.stateless.pop(name, None)
