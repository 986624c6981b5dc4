"""The network service: runs until SIGTERM, then releases its leases."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path

from node.network.advertisements import Advertisements
from node.network.cards import Cards
from node.network.interfaces import Interfaces
from node.network.netlink import AsyncIPRoute
from node.network.plan import Plan
from node.network.shell import Network
from node.network.status import Status
from node.network.wake import watch_kernel


async def run(
    find_links: Callable[[], list[str]], resolv_conf: Path, plan: Plan, status: Status
) -> None:
    """Serve until SIGTERM, then release the leases."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    async with AsyncIPRoute() as routes:
        interfaces = Interfaces(routes)
        cards, advertisements = Cards(plan, interfaces, find_links), Advertisements()
        network = Network(interfaces, cards, advertisements, resolv_conf, status)
        advertisements.wake = network.is_changed.set
        if plan.is_ipv6_off:
            interfaces.forbid_ipv6()
        else:
            advertisements.open()
        await interfaces.set_up("lo")
        with watch_kernel(network.is_changed.set):
            try:
                await network.serve()
            finally:
                advertisements.close()
                await network.close()


def serve(
    find_links: Callable[[], list[str]], resolv_conf: Path, plan: Plan, status: Status
) -> int:
    """Run the network service on the links that `find_links` names; only SIGTERM ends it."""
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(run(find_links, resolv_conf, plan, status))
    return 0
