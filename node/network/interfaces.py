"""Sets leases' addresses, routes and MTU in the kernel, and removes them, through netlink."""

import contextlib
import socket
from pathlib import Path
from typing import Any, NamedTuple

from node.log import log
from node.model import NodeError
from node.network.choice import CHOSEN_METRIC
from node.network.leases import Lease, Source
from node.network.links import read_mtu
from node.network.netlink import AsyncIPRoute, NetlinkError
from node.network.table import Assign

RTNH_F_ONLINK = 4  # <linux/rtnetlink.h>: the gateway is on this link, even outside its subnet
RT_SCOPE_LINK = 253
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
CONF = Path("/proc/sys/net/ipv4/conf")
CONF_6 = Path("/proc/sys/net/ipv6/conf")
EVEN_IF_FORWARDING = "2"  # of accept_ra: workloads may make the node a router
# Two links may be in one network: each answers for its own addresses only.
ARP = {"arp_ignore": "1", "arp_announce": "2"}
GONE = (NodeError, NetlinkError)  # the link, the address or the route is gone already


class Way(NamedTuple):
    """A route: `gateway` is "" for a network on the link itself."""

    target: str
    gateway: str
    metric: int


class Interfaces:
    """The kernel's links, addresses and routes; its errors become `NodeError`."""

    def __init__(self, routes: AsyncIPRoute) -> None:
        self.routes = routes
        self.own_mtu: dict[str, int] = {}  # of each link whose MTU a lease has changed
        self.assigned: dict[tuple[str, Source], Assign] = {}

    async def find(self, name: str) -> int:
        """Return the kernel's index of a link."""
        found = await self.routes.link_lookup(ifname=name)
        if not found:
            raise NodeError(f"cannot use {name}: it is gone")
        return int(found[0])

    async def set_up(self, name: str) -> None:
        """Set link `name` up."""
        index = await self.find(name)
        write_setting(CONF_6 / name / "accept_ra", EVEN_IF_FORWARDING)
        for setting, value in ARP.items():
            write_setting(CONF / name / setting, value)
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
            write_setting(CONF_6 / name / "disable_ipv6", "1")

    @staticmethod
    def forget_ipv6(name: str) -> None:
        """Make the kernel forget what routers have advertised on a link, and ask again."""
        path = CONF_6 / name / "disable_ipv6"
        with contextlib.suppress(OSError):
            if path.read_text().strip() == "0":
                path.write_text("1")
                path.write_text("0")

    async def assign(self, lease: Lease, metric: int = CHOSEN_METRIC) -> None:
        """Set the lease's address, routes and MTU, in place of its source's earlier lease."""
        index = await self.find(lease.link)
        new, key = Assign(lease, metric), (lease.link, lease.source)
        old = self.assigned.get(key)
        if old and old.lease.interface != lease.interface:
            await self.unassign(old.lease)
            old = None
        if lease.interface.version == 4:
            await self.set_mtu(lease.link, lease.mtu, index)
        try:
            if lease.interface.version == 4 and not self.has_ipv4(lease.link):
                await self.routes.flush_addr(index=index, family=socket.AF_INET)
            self.assigned[key] = new
            await self.set_address(lease, metric, index)
            for way in ways(new):
                await self.routes.route("replace", **words(way, lease, index))
        except NetlinkError as error:
            raise NodeError(f"cannot use the lease of {lease}: {error}") from error
        for way in set(ways(old) if old else ()) - set(ways(new)):
            await self.remove_route(way, lease, index)

    def has_ipv4(self, name: str) -> bool:
        """Return whether a lease has set an IPv4 address on a link; others are strangers."""
        return any(
            link == name and one.lease.interface.version == 4
            for (link, _), one in self.assigned.items()
        )

    def own_addresses(self) -> set[Any]:
        """Return the addresses that leases have set; those by advertisements are the kernel's."""
        assigned = self.assigned.items()
        return {one.lease.interface.ip for (_, by), one in assigned if by is not Source.ROUTER}

    async def set_address(self, lease: Lease, metric: int, index: int) -> None:
        """Set the address; the kernel has set it itself if routers have advertised it."""
        if lease.source is not Source.ROUTER:
            address, prefix = str(lease.interface.ip), lease.interface.network.prefixlen
            place = {"index": index, "address": address, "prefixlen": prefix}
            await self.routes.addr("replace", rt_priority=metric, **place)

    async def remove_route(self, way: Way, lease: Lease, index: int) -> None:
        """Remove a route; the lease of another link may have taken its place already."""
        with contextlib.suppress(*GONE):
            await self.routes.route("del", **words(way, lease, index))

    async def set_mtu(self, name: str, mtu: int, index: int) -> None:
        """Set an MTU, or with 0 the link's own again; log it if the card refuses."""
        now = read_mtu(name)
        wanted = mtu or self.own_mtu.get(name, now)
        if wanted == now:
            return
        self.own_mtu.setdefault(name, now)
        try:
            await self.routes.link("set", index=index, mtu=wanted)
        except NetlinkError as error:
            log("network", f"{name}: cannot set the MTU {wanted}: {error}")

    async def force_mtu(self, name: str, mtu: int) -> None:
        """Set an MTU for good: no lease changes it, and it stays when one ends."""
        await self.set_mtu(name, mtu, await self.find(name))
        self.own_mtu[name] = mtu

    async def unassign(self, lease: Lease) -> None:
        """Remove what a lease has set; nothing is wrong if it is gone."""
        one = self.assigned.pop((lease.link, lease.source), None)
        with contextlib.suppress(*GONE):
            index = await self.find(lease.link)
            for way in ways(one) if one else ():
                await self.remove_route(way, lease, index)
            if lease.source is not Source.ROUTER:
                address, prefix = str(lease.interface.ip), lease.interface.network.prefixlen
                await self.routes.addr("del", index=index, address=address, prefixlen=prefix)

    async def clear(self) -> None:
        """Remove what all leases have set."""
        for one in list(self.assigned.values()):
            await self.unassign(one.lease)


def write_setting(path: Path, value: str) -> None:
    """Write one of the kernel's settings, if there is such: IPv6 may be off."""
    with contextlib.suppress(OSError):
        path.write_text(value)


def ways(one: Assign) -> list[Way]:
    """Return a lease's routes: networks on the link first, as gateways may be in them.

    The kernel has a default route for each link on which a router advertises; only the chosen
    link's needs a better metric.
    """
    lease, metric = one.lease, one.metric
    routes = sorted(lease.routes, key=lambda route: bool(route.gateway))
    found = [Way(str(route.network), route.gateway, metric) for route in routes]
    if lease.router and (lease.interface.version == 4 or metric == CHOSEN_METRIC):
        found.append(Way("default", lease.router, metric))
    return found


def words(way: Way, lease: Lease, index: int) -> dict[str, Any]:
    """Return a route for netlink; a gateway outside the lease's subnet is on the link all the same.

    IPv6 knows no such flag in a network of one address, nor needs it for a router's own link.
    """
    found: dict[str, Any] = {
        "dst": way.target,
        "oif": index,
        "family": FAMILIES[lease.interface.version],
        "priority": way.metric,
    }
    if not way.gateway:
        found["scope"] = RT_SCOPE_LINK
        return found
    found["gateway"] = way.gateway
    found["flags"] = 0 if lease.is_near(way.gateway) else RTNH_F_ONLINK
    return found
