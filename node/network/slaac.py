"""What the kernel has made of routers' advertisements (SLAAC, RFC 4862): read from /proc."""

import ipaddress
from collections.abc import Container
from pathlib import Path

from node.network.leases import Lease, Source

ADDRESSES = Path("/proc/net/if_inet6")
ROUTES = Path("/proc/net/ipv6_route")
GLOBAL_SCOPE = 0
UNUSABLE = 0x08 | 0x20 | 0x40  # IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE
RTF_GATEWAY = 0x2
RTF_ADDRCONF = 0x40000  # by an advertisement, not by the node itself
FROM_ROUTER = RTF_GATEWAY | RTF_ADDRCONF
ADDRESS_FIELDS, ROUTE_FIELDS = 6, 10
NOWHERE = "0" * 32


def find_automatic(
    link: str,
    name_servers: tuple[str, ...],
    addresses: Path = ADDRESSES,
    routes: Path = ROUTES,
    others: Container[ipaddress.IPv6Address] = (),
) -> Lease | None:
    """Return the link's own address and router as a lease; None unless it has both.

    `others` are addresses that the node has set by itself.
    """
    rows = read_rows(addresses, ADDRESS_FIELDS)
    found = find_address(link, rows, others)
    router = find_kernel_router(link, routes)
    if found is None or not router:
        return None
    return Lease(link, found, router, name_servers, source=Source.ROUTER)


def find_kernel_router(link: str, routes: Path = ROUTES) -> str:
    """Return the router that advertises itself on a link, "" without one."""
    return find_router(link, read_rows(routes, ROUTE_FIELDS))


def read_rows(path: Path, fields: int) -> list[list[str]]:
    """Return the rows of a table of the kernel; none if there is no IPv6."""
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return []
    return [row for row in rows if len(row) == fields]


def find_address(
    link: str, rows: list[list[str]], others: Container[ipaddress.IPv6Address] = ()
) -> ipaddress.IPv6Interface | None:
    """Return the first global address of a link that can be used, and is not among `others`."""
    for address, _, prefix, scope, flags, name in rows:
        if name == link and int(scope, 16) == GLOBAL_SCOPE and not int(flags, 16) & UNUSABLE:
            found = ipaddress.IPv6Interface((int(address, 16), int(prefix, 16)))
            if found.ip not in others:
                return found
    return None


def find_router(link: str, rows: list[list[str]]) -> str:
    """Return the gateway of the default route that a router has advertised, "" without one."""
    for target, prefix, _, _, gateway, _, _, _, flags, name in rows:
        is_advertised = int(flags, 16) & FROM_ROUTER == FROM_ROUTER
        is_default = (target, prefix) == (NOWHERE, "00") and is_advertised
        if name == link and is_default and gateway != NOWHERE:
            return str(ipaddress.IPv6Address(int(gateway, 16)))
    return ""
