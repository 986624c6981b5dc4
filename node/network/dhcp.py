"""One link's DHCP client, which holds a lease until it is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from node.log import log
from node.network.leases import Lease, parse_lease
from node.network.netlink import (
    AsyncDHCPClient,
    ClientConfig,
    State,
    Trigger,
    hook,
    randomized_increasing_backoff,
)
from node.network.netlink import Lease as DhcpLease

ATTEMPT_S = 20.0  # after that a new client starts, with a new transaction


class MemoryLease(DhcpLease):  # type: ignore[misc]
    """A lease that is never stored: a node leaves nothing behind."""

    def dump(self) -> None:
        """Write nothing."""

    @classmethod
    def load(cls, interface: str) -> None:
        """Find nothing."""
        del interface


async def hold_lease(name: str, accept: Callable[[Lease], Awaitable[None]]) -> None:
    """Request a lease on link `name`, pass it to `accept`, and return when it is lost.

    `accept` is called again for every renewal. Raises `TimeoutError` if no server grants a lease
    within `ATTEMPT_S`. A lease that `accept` rejects with an exception counts as lost.
    """
    is_lost = asyncio.Event()

    @hook(Trigger.BOUND, Trigger.RENEWED, Trigger.REBOUND)  # type: ignore[untyped-decorator]
    async def granted(lease: DhcpLease) -> None:
        try:
            await accept(parse_lease(name, lease.ack))
        except Exception as error:  # pyroute2 would only log it and keep the lease
            log("network", str(error))
            is_lost.set()

    @hook(Trigger.UNBOUND, Trigger.EXPIRED)  # type: ignore[untyped-decorator]
    async def lost(lease: DhcpLease) -> None:
        del lease
        is_lost.set()

    config = ClientConfig(
        interface=name,
        lease_type=MemoryLease,
        hooks=(granted, lost),
        retransmission=partial(randomized_increasing_backoff, 1.0, 8.0),
        handle_signals=False,
        vendor_id="zero-os",
        host_name=None,
    )
    async with AsyncDHCPClient(config) as client:
        await client.bootstrap()
        await client.wait_for_state(State.BOUND, timeout=ATTEMPT_S)
        await is_lost.wait()
        log("network", f"{name}: the lease is lost")
