"""Leases: addresses of links, by DHCP or from elsewhere; parsed, checked, compared. No I/O."""

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from node.model import NodeError

MAX_NAME_SERVERS = 3  # resolv.conf(5) reads no more
LEAST_MTU = 576  # IPv4's own least (RFC 791); a smaller one would only hinder the node

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class Source(Enum):
    """Who has given an address: a server, the kernel's command line, a router (SLAAC)."""

    DHCP = "DHCP"
    DHCP6 = "DHCPv6"
    STATIC = "the kernel's command line"
    ROUTER = "router advertisements"


STRENGTHS = (Source.ROUTER, Source.DHCP6, Source.DHCP, Source.STATIC)  # the strongest is last


@dataclass(frozen=True)
class Route:
    """A route of a lease; `gateway` is empty for a network on the link itself."""

    network: ipaddress.IPv4Network
    gateway: str

    def __str__(self) -> str:
        """Return "10.1.0.0/16 via 10.0.2.9" for the log."""
        return f"{self.network} via {self.gateway}" if self.gateway else f"{self.network}"


@dataclass(frozen=True)
class Lease:
    """An address for one link; `router` is empty if the server named none, `mtu` 0.

    `is_proven` is false for a static address whose router has not answered on this link so far.
    """

    link: str
    interface: Interface
    router: str
    name_servers: tuple[str, ...]
    routes: tuple[Route, ...] = ()  # beside the one to `router`
    search: tuple[str, ...] = ()
    mtu: int = 0
    source: Source = Source.DHCP
    is_proven: bool = field(default=True, compare=False)

    @property
    def is_complete(self) -> bool:
        """Return whether no other lease can be better."""
        if self.source is Source.STATIC:
            return self.is_proven
        return self.rank == (True, True)

    @property
    def rank(self) -> tuple[bool, bool]:
        """Return how much a node can do with it; a higher one is better."""
        return bool(self.router), bool(self.name_servers)

    def is_near(self, gateway: str) -> bool:
        """Return whether a gateway is in the lease's subnet; some clouds lease a bare /32."""
        return ipaddress.ip_address(gateway) in self.interface.network

    def __str__(self) -> str:
        """Return the lease as one line for the log."""
        servers = ", ".join(self.name_servers) or "none"
        text = f"{self.link}: {self.interface}, router {self.router or 'none'}, dns {servers}"
        text += "".join(f", route {route}" for route in self.routes)
        text += f", search {' '.join(self.search)}" if self.search else ""
        return text + (f", mtu {self.mtu}" if self.mtu else "")


class Told(NamedTuple):
    """What DHCPv6 tells beside an address."""

    name_servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()


def parse_lease(link: str, ack: Mapping[str, Any]) -> Lease:
    """Return the lease in a decoded DHCPACK, or raise `NodeError` if it is invalid.

    `ack` has `yiaddr` and `options` as `node.network.dhcp.options` decodes them. Any machine on the
    network can answer, so every address is parsed before it is used.
    """
    options = ack["options"]
    try:
        mask = options.get("subnet_mask", "255.255.255.255")
        interface = ipaddress.IPv4Interface(f"{ack['yiaddr']}/{mask}")
        router, routes = find_routes(options)
        servers = [host_address(word) for word in options.get("name_server", ())]
        host_address(str(interface.ip))
        if interface.network.prefixlen == 0:
            raise ValueError("the subnet contains all addresses")
    except ValueError as error:
        raise NodeError(f"cannot use the lease offered on {link}: {error}") from error
    mtu = options.get("mtu", 0)
    return Lease(
        link,
        interface,
        router,
        tuple(servers[:MAX_NAME_SERVERS]),
        routes,
        tuple(options.get("domain_search") or options.get("domain_name", ())),
        mtu if mtu >= LEAST_MTU else 0,
    )


def find_routes(options: Mapping[str, Any]) -> tuple[str, tuple[Route, ...]]:
    """Return the default router ("" for none) and the other routes.

    Classless routes replace the option for the router (RFC 3442).
    """
    if not options.get("classless_routes"):
        routers = [host_address(word) for word in options.get("router", ())]
        return next(iter(routers), ""), ()
    router = ""
    routes = []
    for text, gateway in options["classless_routes"]:
        network = ipaddress.IPv4Network(text)
        if network.prefixlen:
            if network.is_loopback or network.is_multicast:
                raise ValueError(f"no route leads to {network}")
            is_on_link = ipaddress.IPv4Address(gateway).is_unspecified
            routes.append(Route(network, "" if is_on_link else host_address(gateway)))
        else:
            router = router or host_address(gateway)
    return router, tuple(routes)


def host_address(text: str, parse: Callable[[str], Address] = ipaddress.IPv4Address) -> str:
    """Return `text` if a host can have this address; raise `ValueError` otherwise."""
    address = parse(text)
    if address.is_unspecified or address.is_multicast or address.is_loopback:
        raise ValueError(f"{address} is not a host address")
    return str(address)


def best_lease(leases: Iterable[Lease]) -> Lease | None:
    """Return the lease of a link with which most can be done."""
    return max(leases, key=strength, default=None)


def strength(lease: Lease) -> tuple[bool, tuple[bool, bool], int]:
    """Return what compares the leases of one link."""
    return lease.source is Source.STATIC, lease.rank, STRENGTHS.index(lease.source)


def by_preference(lease: Lease) -> tuple[bool, int, int]:
    """Return what sorts leases as upstream does: a private router first, the smallest address."""
    is_private = bool(lease.router) and ipaddress.ip_address(lease.router).is_private
    return not is_private, lease.interface.version, int(lease.interface.ip)


def resolv_conf(lease: Lease) -> str:
    """Return the text of /etc/resolv.conf for `lease`."""
    lines = [f"search {' '.join(lease.search)}\n"] if lease.search else []
    lines += [f"nameserver {server}\n" for server in lease.name_servers]
    return f"# Written by zos node network from {lease.source.value}.\n" + "".join(lines)
