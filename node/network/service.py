"""The network service: runs until SIGTERM, then releases its leases."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path

from node.network.interfaces import Interfaces
from node.network.netlink import AsyncIPRoute
from node.network.selection import Network


async def run(find_links: Callable[[], list[str]], resolv_conf: Path) -> None:
    """Serve until SIGTERM, then release the leases."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    async with AsyncIPRoute() as routes:
        interfaces = Interfaces(routes)
        network = Network(interfaces, find_links, resolv_conf)
        await interfaces.set_up("lo")
        try:
            await network.serve()
        finally:
            await network.stop_clients(list(network.clients))


def serve(find_links: Callable[[], list[str]], resolv_conf: Path) -> int:
    """Run the network service on the links that `find_links` names; only SIGTERM ends it."""
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(run(find_links, resolv_conf))
    return 0
