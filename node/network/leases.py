"""DHCP leases: parsed, checked, and compared. No I/O."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.model import NodeError

MAX_NAME_SERVERS = 3  # resolv.conf(5) reads no more


@dataclass(frozen=True)
class Lease:
    """An address for one link; `router` is empty if the server named none."""

    link: str
    interface: ipaddress.IPv4Interface
    router: str
    name_servers: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Return whether the lease has a router and a name server."""
        return bool(self.router and self.name_servers)

    @property
    def is_router_near(self) -> bool:
        """Return whether the router is in the lease's subnet; some clouds lease a bare /32."""
        return ipaddress.IPv4Address(self.router) in self.interface.network

    def __str__(self) -> str:
        """Return the lease as one line for the log."""
        servers = ", ".join(self.name_servers) or "none"
        return f"{self.link}: {self.interface}, router {self.router or 'none'}, dns {servers}"


def parse_lease(link: str, ack: Mapping[str, Any]) -> Lease:
    """Return the lease in a decoded DHCPACK, or raise `NodeError` if it is invalid.

    `ack` has `yiaddr` and `options` as pyroute2 decodes them. Any machine on the network can
    answer, so every address is parsed before it is used.
    """
    options = ack["options"]
    try:
        mask = options.get("subnet_mask", "255.255.255.255")
        interface = ipaddress.IPv4Interface(f"{ack['yiaddr']}/{mask}")
        routers = [host_address(word) for word in options.get("router", ())]
        servers = [host_address(word) for word in options.get("name_server", ())]
        host_address(str(interface.ip))
        if interface.network.prefixlen == 0:
            raise ValueError("the subnet contains all addresses")
    except ValueError as error:
        raise NodeError(f"cannot use the lease offered on {link}: {error}") from error
    if interface.ip.is_unspecified or interface.ip.is_multicast or interface.ip.is_loopback:
        raise NodeError(
            f"cannot use the lease offered on {link}: {interface.ip} is not a host address"
        )
    return Lease(link, interface, next(iter(routers), ""), tuple(servers[:MAX_NAME_SERVERS]))


def host_address(text: str) -> str:
    """Return `text` if a host can have this address; raise `ValueError` otherwise."""
    address = ipaddress.IPv4Address(text)
    if address.is_unspecified or address.is_multicast or address.is_loopback:
        raise ValueError(f"{address} is not a host address")
    return str(address)


def choose_lease(leases: list[Lease], *, is_patience_over: bool) -> Lease | None:
    """Return the first complete lease; when patience is over, the most complete one."""
    for lease in leases:
        if lease.is_complete:
            return lease
    if not is_patience_over or not leases:
        return None
    return max(leases, key=lambda lease: (bool(lease.router), bool(lease.name_servers)))


def resolv_conf(lease: Lease) -> str:
    """Return the text of /etc/resolv.conf for `lease`."""
    lines = [f"nameserver {server}\n" for server in lease.name_servers]
    return "# Written by zos node network from the DHCP lease.\n" + "".join(lines)
