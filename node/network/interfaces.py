"""Applies a lease to the kernel, and removes it, through netlink; makes the links of VLANs."""

import contextlib
import socket
from pathlib import Path
from typing import Any

from node.log import log
from node.model import NodeError
from node.network.leases import Lease
from node.network.links import read_mtu
from node.network.netlink import AsyncIPRoute, NetlinkError

RTNH_F_ONLINK = 4  # <linux/rtnetlink.h>: the gateway is on this link, even outside its subnet
RT_SCOPE_LINK = 253
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
CONF_6 = Path("/proc/sys/net/ipv6/conf")
EVEN_IF_FORWARDING = "2"  # of accept_ra: workloads may make the node a router


class Interfaces:
    """The kernel's links, addresses and routes; its errors become `NodeError`."""

    def __init__(self, routes: AsyncIPRoute) -> None:
        self.routes = routes
        self.own_mtu: dict[str, int] = {}  # of each link whose MTU a lease has changed
        self.assigned_6: dict[str, Lease] = {}  # by link; others are the kernel's own

    async def find(self, name: str) -> int:
        """Return the kernel's index of a link."""
        found = await self.routes.link_lookup(ifname=name)
        if not found:
            raise NodeError(f"cannot use {name}: it is gone")
        return int(found[0])

    async def set_up(self, name: str) -> None:
        """Set link `name` up."""
        index = await self.find(name)
        with contextlib.suppress(OSError):  # IPv6 is off
            (CONF_6 / name / "accept_ra").write_text(EVEN_IF_FORWARDING)
        try:
            await self.routes.link("set", index=index, state="up")
        except NetlinkError as error:
            raise NodeError(f"cannot set {name} up: {error}") from error

    async def add_vlan(self, card: str, vlan: int, name: str) -> None:
        """Make the link `name`, which is the VLAN on a card."""
        await self.set_up(card)
        index = await self.find(card)
        try:
            await self.routes.link("add", ifname=name, kind="vlan", link=index, vlan_id=vlan)
        except NetlinkError as error:
            raise NodeError(f"cannot use VLAN {vlan} on {card}: {error}") from error

    @staticmethod
    def forbid_ipv6() -> None:
        """Switch IPv6 off, also for links to come."""
        for name in ("all", "default"):
            with contextlib.suppress(OSError):  # the kernel has none
                (CONF_6 / name / "disable_ipv6").write_text("1")

    async def assign(self, lease: Lease) -> None:
        """Set the lease's address, as the link's only one, its routes and its MTU."""
        index = await self.find(lease.link)
        await self.clear(lease.link)
        address, prefix = str(lease.interface.ip), lease.interface.network.prefixlen
        await self.set_mtu(lease, index)
        if lease.interface.version == 6:
            self.assigned_6[lease.link] = lease
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
        words: dict[str, Any] = {
            "dst": target,
            "oif": index,
            "family": FAMILIES[lease.interface.version],
        }
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
        """Remove what leases have set on link `name`: all of IPv4, and with it its routes."""
        gone = (NodeError, NetlinkError)  # the link may be gone or have no address
        with contextlib.suppress(*gone):
            index = await self.find(name)
            if lease := self.assigned_6.pop(name, None):
                address, prefix = str(lease.interface.ip), lease.interface.network.prefixlen
                with contextlib.suppress(*gone):
                    await self.routes.addr("del", index=index, address=address, prefixlen=prefix)
                words = {"dst": "default", "oif": index, "family": socket.AF_INET6}
                with contextlib.suppress(*gone):
                    await self.routes.route("del", gateway=lease.router, **words)
            await self.routes.flush_addr(index=index, family=socket.AF_INET)
