"""How the kernel's command line wants the network: `net.interface=` (a MAC), `net.address=` (with
its prefix length), `net.gateway=`, `net.dns=` (with commas), `net.ipv6=` (auto or off), and
upstream's `vlan:priv=`. No I/O.

An invalid word is told and left out: with DHCP on every card there is some chance to reach the
node, with no network there is none.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from node.network.leases import MAX_NAME_SERVERS, Interface, Lease, Source, host_address

VLAN_MAX = 4094
NO_VLAN = ("none", "untagged", "un")  # upstream's words
IPV6_WORDS = ("auto", "off")
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")

Tell = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """What the command line asks for; by default DHCP and SLAAC on every card."""

    card: str = ""
    address: Interface | None = None
    gateway: str = ""
    name_servers: tuple[str, ...] = ()
    vlan: int = 0
    is_ipv6_off: bool = False

    def static_lease(self, link: str) -> Lease | None:
        """Return the static address as a lease for `link`; None with DHCP."""
        if self.address is None:
            return None
        return Lease(link, self.address, self.gateway, self.name_servers, source=Source.STATIC)


def parse_plan(words: Mapping[str, str], tell: Tell) -> Plan:
    """Return what the words of the command line ask for; `tell` gets a line for each bad one."""
    reader = Reader(words, tell)
    address = reader.read("net.address", parse_interface, "DHCP is used")
    gateway = reader.read("net.gateway", lambda text: parse_gateway(text, address), "none is set")
    servers = reader.read("net.dns", parse_servers, "DHCP's are used")
    return Plan(
        reader.read("net.interface", parse_mac, "every card is tried") or "",
        address,
        gateway or "",
        servers or (),
        reader.read("vlan:priv", parse_vlan, "no VLAN is used") or 0,
        reader.read("net.ipv6", parse_ipv6, "IPv6 stays on") or False,
    )


@dataclass(frozen=True)
class Reader:
    """Reads one word after another."""

    words: Mapping[str, str]
    tell: Tell

    def read(self, key: str, parse: Callable[[str], T], instead: str) -> T | None:
        """Return a word's value, None if it is absent or invalid."""
        text = self.words.get(key, "")
        if not text:
            return None
        try:
            return parse(text)
        except ValueError as error:
            self.tell(f"cannot use {key}={text}: {error}; {instead}")
            return None


def parse_mac(text: str) -> str:
    """Return a card's MAC address as sysfs has it."""
    mac = text.lower().replace("-", ":")
    if not MAC.fullmatch(mac):
        raise ValueError("a card is named by its MAC address, like 52:54:00:12:34:56")
    return mac


def parse_interface(text: str) -> Interface:
    """Return the node's own address."""
    if "/" not in text:
        raise ValueError("the prefix length is missing, as in 192.168.1.10/24")
    interface = ipaddress.ip_interface(text)
    host_address(str(interface.ip), ipaddress.ip_address)
    if interface.network.prefixlen == 0:
        raise ValueError("the subnet contains all addresses")
    return interface


def parse_gateway(text: str, address: Interface | None) -> str:
    """Return the router of the node's own address."""
    if address is None:
        raise ValueError("a gateway needs net.address; without one, DHCP tells it")
    gateway = ipaddress.ip_address(host_address(text, ipaddress.ip_address))
    if gateway.version != address.version or gateway == address.ip:
        raise ValueError(f"it is no router for {address}")
    return str(gateway)


def parse_servers(text: str) -> tuple[str, ...]:
    """Return the addresses of name servers."""
    return tuple(host_address(word, ipaddress.ip_address) for word in text.split(","))[
        :MAX_NAME_SERVERS
    ]


def parse_vlan(text: str) -> int:
    """Return a VLAN's number, 0 for none."""
    if text in NO_VLAN:
        return 0
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 0 < int(text) <= VLAN_MAX:
        raise ValueError(f"a VLAN is a number from 1 to {VLAN_MAX}")
    return int(text)


def parse_ipv6(text: str) -> bool:
    """Return whether IPv6 is off."""
    if text not in IPV6_WORDS:
        raise ValueError(f"it is one of {', '.join(IPV6_WORDS)}")
    return text == "off"
