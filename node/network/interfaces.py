"""Applies a lease to the kernel, and removes it, through netlink."""

import contextlib
import socket

from node.model import NodeError
from node.network.leases import Lease
from node.network.netlink import AsyncIPRoute, NetlinkError

RTNH_F_ONLINK = 4  # <linux/rtnetlink.h>: the gateway is on this link, even outside its subnet


class Interfaces:
    """The kernel's links, addresses and routes; its errors become `NodeError`."""

    def __init__(self, routes: AsyncIPRoute) -> None:
        self.routes = routes

    async def find(self, name: str) -> int:
        """Return the kernel's index of a link."""
        found = await self.routes.link_lookup(ifname=name)
        if not found:
            raise NodeError(f"cannot use {name}: it is gone")
        return int(found[0])

    async def set_up(self, name: str) -> None:
        """Set link `name` up."""
        index = await self.find(name)
        try:
            await self.routes.link("set", index=index, state="up")
        except NetlinkError as error:
            raise NodeError(f"cannot set {name} up: {error}") from error

    async def assign(self, lease: Lease) -> None:
        """Set the lease's address, as the link's only one, and the default route."""
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
        """Remove all IPv4 addresses of link `name`, and with them its routes."""
        with contextlib.suppress(
            NodeError, NetlinkError
        ):  # the link may be gone or have no address
            index = await self.find(name)
            await self.routes.flush_addr(index=index, family=socket.AF_INET)
