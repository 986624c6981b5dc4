"""Which network interfaces a machine shows, with the addresses that others reach. No I/O."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.capacity.model import Interface

ARPHRD_ETHER = 1
MADE_OF_CARDS = frozenset({"vlan", "bond", "bridge"})  # DEVTYPE; a workload makes others


@dataclass(frozen=True)
class Link:
    """What /sys/class/net says of a link; `kind` is the type of what software made."""

    name: str
    mac: str
    family: int = ARPHRD_ETHER
    is_card: bool = True
    kind: str = ""


def choose_interfaces(
    links: Iterable[Link], addresses: Mapping[str, Iterable[str]]
) -> list[Interface]:
    """Return the cards, and what is made of them and has an address."""
    found = []
    for link in sorted(links, key=lambda link: link.name):
        own = tuple(filter(is_reachable, (bare(text) for text in addresses.get(link.name, ()))))
        is_made = link.kind in MADE_OF_CARDS and own
        if link.family == ARPHRD_ETHER and (link.is_card or is_made):
            found.append(Interface(link.name, link.mac, own))
    return found


def bare(text: str) -> str:
    """Return an address without the interface that it is on."""
    return text.partition("%")[0]


def is_reachable(text: str) -> bool:
    """Return whether others than this link can reach the address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_link_local or address.is_loopback or address.is_multicast)
