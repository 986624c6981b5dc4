"""Applies a lease to the kernel, and removes it, through netlink."""

import contextlib
import socket
from typing import Any

from node.log import log
from node.model import NodeError
from node.network.leases import Lease
from node.network.links import read_mtu
from node.network.netlink import AsyncIPRoute, NetlinkError

RTNH_F_ONLINK = 4  # <linux/rtnetlink.h>: the gateway is on this link, even outside its subnet
RT_SCOPE_LINK = 253


class Interfaces:
    """The kernel's links, addresses and routes; its errors become `NodeError`."""

    def __init__(self, routes: AsyncIPRoute) -> None:
        self.routes = routes
        self.own_mtu: dict[str, int] = {}  # of each link whose MTU a lease has changed

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
        """Set the lease's address, as the link's only one, its routes and its MTU."""
        index = await self.find(lease.link)
        await self.clear(lease.link)
        address, prefix = str(lease.interface.ip), lease.interface.network.prefixlen
        await self.set_mtu(lease, index)
        try:
            await self.routes.addr("replace", index=index, address=address, prefixlen=prefix)
            # Networks on the link come first: gateways of other routes may be in them.
            for route in sorted(lease.routes, key=lambda one: bool(one.gateway)):
                await self.add_route(lease, index, str(route.network), route.gateway)
            if lease.router:
                await self.add_route(lease, index, "default", lease.router)
        except NetlinkError as error:
            raise NodeError(f"cannot use the lease of {lease}: {error}") from error

    async def add_route(self, lease: Lease, index: int, target: str, gateway: str) -> None:
        """Add a route; a gateway outside the lease's subnet is on the link all the same."""
        words: dict[str, Any] = {"dst": target, "oif": index, "family": socket.AF_INET}
        if gateway:
            words["gateway"] = gateway
            words["flags"] = 0 if lease.is_near(gateway) else RTNH_F_ONLINK
        else:
            words["scope"] = RT_SCOPE_LINK
        await self.routes.route("replace", **words)

    async def set_mtu(self, lease: Lease, index: int) -> None:
        """Set the lease's MTU, or the link's own if it has none; log it if the card refuses."""
        now = read_mtu(lease.link)
        wanted = lease.mtu or self.own_mtu.get(lease.link, now)
        if wanted == now:
            return
        self.own_mtu.setdefault(lease.link, now)
        try:
            await self.routes.link("set", index=index, mtu=wanted)
        except NetlinkError as error:
            log("network", f"{lease.link}: cannot set the MTU {wanted}: {error}")

    async def clear(self, name: str) -> None:
        """Remove all IPv4 addresses of link `name`, and with them its routes."""
        with contextlib.suppress(
            NodeError, NetlinkError
        ):  # the link may be gone or have no address
            index = await self.find(name)
            await self.routes.flush_addr(index=index, family=socket.AF_INET)
