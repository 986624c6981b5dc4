"""Gives a lease to the kernel and takes it away again, by netlink."""

import contextlib
import socket

from node.leases import Lease
from node.model import NodeError
from node.netlink import AsyncIPRoute, NetlinkError

RTNH_F_ONLINK = 4  # <linux/rtnetlink.h>: the gateway is on this link whatever the netmask says


class Interfaces:
    """The kernel's links, addresses and routes; what it refuses is a `NodeError`."""

    def __init__(self, routes: AsyncIPRoute) -> None:
        self.routes = routes

    async def find(self, name: str) -> int:
        """Return the kernel's index of a link."""
        found = await self.routes.link_lookup(ifname=name)
        if not found:
            raise NodeError(f"cannot use {name}: it is gone")
        return int(found[0])

    async def set_up(self, name: str) -> None:
        """Switch link `name` on."""
        index = await self.find(name)
        try:
            await self.routes.link("set", index=index, state="up")
        except NetlinkError as error:
            raise NodeError(f"cannot switch {name} on: {error}") from error

    async def assign(self, lease: Lease) -> None:
        """Give the link the lease's address, and no other, and the default route."""
        index = await self.find(lease.link)
        await self.clear(lease.link)
        address, prefix = str(lease.interface.ip), lease.interface.network.prefixlen
        try:
            await self.routes.addr("replace", index=index, address=address, prefixlen=prefix)
            if lease.router:
                await self.routes.route(
                    "replace",
                    dst="default",
                    gateway=lease.router,
                    oif=index,
                    family=socket.AF_INET,
                    flags=0 if lease.is_router_near else RTNH_F_ONLINK,
                )
        except NetlinkError as error:
            raise NodeError(f"cannot use the lease of {lease}: {error}") from error

    async def clear(self, name: str) -> None:
        """Take all IPv4 addresses of link `name`, and with them its routes, away."""
        with contextlib.suppress(NodeError, NetlinkError):  # it may be gone, or have none
            index = await self.find(name)
            await self.routes.flush_addr(index=index, family=socket.AF_INET)
