"""The network service: runs until SIGTERM, then releases its leases."""

import asyncio
import contextlib
import signal

from node.network.interfaces import Interfaces
from node.network.netlink import AsyncIPRoute
from node.network.selection import Network


async def run() -> None:
    """Serve until SIGTERM, then release the leases."""
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
    """Run the network service; only SIGTERM ends it."""
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(run())
    return 0
