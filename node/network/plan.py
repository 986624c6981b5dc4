"""How the kernel's command line wants the network: `net.interface=` (a MAC), `net.address=` (with
its prefix length), `net.gateway=`, `net.dns=` (with commas), `net.ipv6=` (auto or off), `net.mtu=`,
`net.bond=` (a mode, and with commas the MACs of its cards), and upstream's `vlan:priv=`,
`vlan:pub=` and `pub:mac=`. No I/O.

An invalid word is told and left out: with DHCP on every card there is some chance to reach the
node, with no network there is none.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from node.cmdline import parse_proxy
from node.network.leases import (
    LEAST_MTU,
    MAX_NAME_SERVERS,
    Interface,
    Lease,
    Source,
    host_address,
)

VLAN_MAX = 4094
NO_VLAN = ("none", "untagged", "un")  # upstream's words
IPV6_WORDS = ("auto", "off")
BOND_MODES = ("active-backup", "802.3ad")
PUBLIC_MACS = ("random", "swap")  # upstream's words
MTU_MAX = 9999
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")

Tell = Callable[[str], None]
T = TypeVar("T")


class Bond(NamedTuple):
    """Several cards as one link; without MAC addresses, all that there are."""

    mode: str
    cards: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What the command line asks for; by default DHCP and SLAAC on every card.

    `public_vlan` and `public_mac` are for the network of workloads, and `proxy` for downloads: the
    node's own network only shows them.
    """

    card: str = ""
    address: Interface | None = None
    gateway: str = ""
    name_servers: tuple[str, ...] = ()
    vlan: int = 0
    is_ipv6_off: bool = False
    mtu: int = 0
    bond: Bond | None = None
    public_vlan: int = 0
    public_mac: str = "random"
    proxy: str = ""

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
    card = reader.read("net.interface", parse_mac, "every card is tried") or ""
    bond = reader.read("net.bond", lambda text: parse_bond(text, card), "no bond is made")
    return Plan(
        card,
        address,
        gateway or "",
        servers or (),
        reader.read("vlan:priv", parse_vlan, "no VLAN is used") or 0,
        reader.read("net.ipv6", parse_ipv6, "IPv6 stays on") or False,
        reader.read("net.mtu", parse_mtu, "the network's own is used") or 0,
        bond,
        reader.read("vlan:pub", parse_vlan, "no VLAN is used") or 0,
        reader.read("pub:mac", parse_public_mac, "random is used") or PUBLIC_MACS[0],
        parse_proxy(words.get("net.proxy", ""), lambda _: None),  # bringup tells
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


def parse_mtu(text: str) -> int:
    """Return an MTU."""
    if not re.fullmatch(r"[0-9]{3,4}", text) or not LEAST_MTU <= int(text) <= MTU_MAX:
        raise ValueError(f"an MTU is a number from {LEAST_MTU} to {MTU_MAX}")
    return int(text)


def parse_bond(text: str, card: str) -> Bond:
    """Return a bond's mode, and which cards are in it."""
    if card:
        raise ValueError("net.interface names the only card to use")
    mode, *macs = text.split(",")
    if mode not in BOND_MODES:
        raise ValueError(f"the modes are {', '.join(BOND_MODES)}")
    return Bond(mode, tuple(dict.fromkeys(parse_mac(mac) for mac in macs)))


def parse_public_mac(text: str) -> str:
    """Return how the public network's MAC address is made."""
    if text not in PUBLIC_MACS:
        raise ValueError(f"it is one of {', '.join(PUBLIC_MACS)}")
    return text
