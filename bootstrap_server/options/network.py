"""How a node reaches the network, where DHCP on every card is not enough."""

import re
from dataclasses import asdict, dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)

from bootstrap_server.errors import InputError

DNS_MAX = 3  # as many as a resolver asks
VLAN_MAX = 4094
IPV6_MODES = ("off", "auto")

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{2,39}")
_CIDR = re.compile(r"[0-9A-Fa-f:.]{2,39}/[0-9]{1,3}")
_VLAN = re.compile(r"[1-9][0-9]{0,3}")
_PROXY = re.compile(r"http://([A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:.]{2,39}\]):[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Network:
    """Checked and in canonical form; what is empty is the node's own choice.

    `interface` is the MAC of the only card to use. `address` (with its prefix length) and `gateway`
    replace DHCP. `vlan` is the tag of the network that the node boots in. `proxy` is the HTTP proxy
    of the node's own downloads: iPXE knows none.
    """

    interface: str = ""
    address: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()
    vlan: int | None = None
    ipv6: str = "off"
    proxy: str = ""

    def __post_init__(self) -> None:
        """Check every part and bring it into canonical form. Raises `InputError`."""
        address = parse_cidr(self.address) if self.address else None
        checked = {
            "interface": parse_mac(self.interface) if self.interface else "",
            "address": str(address) if address else "",
            "gateway": parse_gateway(self.gateway, address) if self.gateway else "",
            "dns": parse_dns(self.dns),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.vlan is not None:
            parse_vlan(str(self.vlan))
        if self.ipv6 not in IPV6_MODES:
            raise InputError("ipv6", "IPv6 is one of " + ", ".join(IPV6_MODES))
        if self.proxy and not is_proxy(self.proxy):
            raise InputError("proxy", "a proxy is http://HOST:PORT")

    def as_mapping(self) -> dict[str, object]:
        """Return the parts that were chosen, by their names in a URL."""
        found = asdict(self)
        found["dns"] = list(self.dns)
        return {key: value for key, value in found.items() if value not in (None, "", "off", [])}


def parse_mac(text: str) -> str:
    """Return the MAC address of a card in lower case, with colons."""
    mac = text.lower().replace("-", ":")
    if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise InputError("interface", "a card is named by its MAC address, like 52:54:00:12:34:56")
    return mac


def parse_cidr(text: str) -> IPv4Interface | IPv6Interface:
    """Return the address of a node with its prefix length."""
    wrong = InputError(
        "address", "an address is written with its prefix length, like 192.168.1.10/24"
    )
    if not _CIDR.fullmatch(text):
        raise wrong
    try:
        address = ip_interface(text)
    except ValueError as error:
        raise wrong from error
    if address.is_multicast or address.is_loopback or address.is_unspecified:
        raise InputError("address", f"{address} can't be the address of a node")
    own = (address.network.network_address, address.network.broadcast_address)
    if address.network.prefixlen < 1 or (address.network.num_addresses > 2 and address.ip in own):
        raise InputError("address", f"{address} is a network's own address, not that of a node")
    return address


def parse_gateway(text: str, address: IPv4Interface | IPv6Interface | None) -> str:
    """Return the address of the router: another one in the network of `address`."""
    if address is None:
        raise InputError("gateway", "a gateway needs an address", hint="without one, DHCP tells it")
    gateway = parse_ip(text, "gateway", "a gateway is an IP address")
    if gateway == address.ip:
        raise InputError("gateway", f"{gateway} is the node's own address")
    is_link_local = gateway.version == address.version and gateway.is_link_local
    if gateway not in address.network and not is_link_local:
        raise InputError("gateway", f"{gateway} is not in the network {address.network}")
    return str(gateway)


def parse_vlan(text: str) -> int:
    """Return the tag of a VLAN."""
    if not _VLAN.fullmatch(text) or int(text) > VLAN_MAX:
        raise InputError("vlan", f"a VLAN is a whole number from 1 to {VLAN_MAX}")
    return int(text)


def parse_dns(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the addresses of name servers."""
    if len(texts) > DNS_MAX:
        raise InputError("dns", f"more than {DNS_MAX} name servers")
    return tuple(str(parse_ip(text, "dns", "a name server is an IP address")) for text in texts)


def parse_ip(text: str, field: str, wrong: str) -> IPv4Address | IPv6Address:
    """Return an IP address of one machine."""
    if not _ADDRESS.fullmatch(text):
        raise InputError(field, wrong)
    try:
        address = ip_address(text)
    except ValueError as error:
        raise InputError(field, wrong) from error
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        raise InputError(field, f"{address} is not the address of a machine")
    return address


def is_proxy(text: str) -> bool:
    """Return whether `text` is the URL of a proxy, with its port."""
    return bool(_PROXY.fullmatch(text)) and 0 < int(text.rpartition(":")[2]) < 2**16
