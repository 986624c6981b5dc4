"""dnsmasq's configuration: one checked value, and the text that it becomes. Pure.

Who asks is told by option 93 (the client's architecture, RFC 4578) and by iPXE's user class and
option 175. In proxy mode dnsmasq answers only clients of the class PXEClient: UEFI HTTP Boot is
answered by `bootstrap_server.lan.httpboot` there.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import NamedTuple

from bootstrap_server.errors import InputError

SCRIPT = "autoexec.ipxe"
"""The script that iPXE runs if it finds it beside its own file."""
FILE_MAX_BYTES = 127
"""The length of a boot file's address in a DHCP message, less its NUL."""
LEASE = "1h"

# What the kernel accepts as the name of an interface, less what dnsmasq's syntax gives a meaning.
_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:-]{0,14}")
_PLAIN = re.compile(r"[A-Za-z0-9._~:/\[\]-]+")


class Client(NamedTuple):
    """A kind of firmware: `architectures` of option 93, the file that it gets, dnsmasq's names."""

    tag: str
    architectures: tuple[int, ...]
    file: str
    is_http: bool = False
    services: tuple[str, ...] = ()


CLIENTS = (
    Client("bios", (0,), "undionly.kpxe", services=("x86PC",)),
    Client("uefi", (7, 9), "ipxe.efi", services=("BC_EFI", "x86-64_EFI")),
    Client("arm64", (11,), "ipxe-arm64.efi", services=("ARM64_EFI",)),
    Client("http-uefi", (16,), "ipxe.efi", is_http=True),
    Client("http-arm64", (19,), "ipxe-arm64.efi", is_http=True),
)
HTTP_FILES = {number: row.file for row in CLIENTS if row.is_http for number in row.architectures}


class Pool(NamedTuple):
    """The addresses that full DHCP gives away."""

    first: IPv4Address
    last: IPv4Address


@dataclass(frozen=True, slots=True)
class LanConfig:
    """What dnsmasq does on `interface`. Without a `pool` it is a proxy beside another DHCP server.

    `folder` holds its TFTP files in `tftp`, and its leases. `url` is this machine's own HTTP
    server, without a slash at its end.
    """

    interface: str
    address: IPv4Interface
    folder: Path
    url: str
    pool: Pool | None = None
    gateway: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what can't stand in the text as it is."""
        check_interface(self.interface)
        for text in (self.url, str(self.folder)):
            if not _PLAIN.fullmatch(text):
                raise InputError("url", f"cannot use {text[:80]!r} in dnsmasq's configuration")
        if len(f"{self.url}/{SCRIPT}") > FILE_MAX_BYTES:
            raise InputError("url", f"an address has more than {FILE_MAX_BYTES} characters")
        if self.pool:
            check_pool(self.pool, self.address)

    @property
    def script_url(self) -> str:
        """Return where an iPXE finds its script."""
        return f"{self.url}/{SCRIPT}"


def check_interface(name: str) -> str:
    """Return `name` if it can be that of an interface."""
    if not _INTERFACE.fullmatch(name):
        raise InputError(
            "interface", f"{name[:80]!r} is not the name of a network interface", hint="`ip link`"
        )
    return name


def check_pool(pool: Pool, address: IPv4Interface) -> None:
    """Raise `InputError` unless the addresses can be given away in the interface's network."""
    network = address.network
    ends = (network.network_address, network.broadcast_address)
    if not all(end in network and end not in ends for end in pool) or pool.first > pool.last:
        raise InputError("range", f"{pool.first}-{pool.last} is not a range within {network}")
    if pool.first <= address.ip <= pool.last:
        raise InputError(
            "range", f"{pool.first}-{pool.last} has this machine's own address, {address.ip}"
        )


def parse_pool(text: str, address: IPv4Interface) -> Pool:
    """Return the range "FIRST-LAST"; for an empty text the larger side of this machine's address.

    Raises `InputError`.
    """
    if not text:
        return choose_pool(address)
    first, dash, last = text.replace(",", "-").partition("-")
    try:
        pool = Pool(IPv4Address(first.strip()), IPv4Address(last.strip() if dash else first))
    except ValueError as error:
        raise InputError("range", f"{text[:80]!r} is not FIRST-LAST: {error}") from error
    check_pool(pool, address)
    return pool


def choose_pool(address: IPv4Interface) -> Pool:
    """Return all addresses of the network that are on the larger side of this machine's own."""
    network, own = address.network, address.ip
    if network.num_addresses < 4:
        raise InputError("range", f"{network} has no addresses to give away")
    first, last = network.network_address + 1, network.broadcast_address - 1
    above = Pool(own + 1, last)
    below = Pool(first, own - 1)
    return above if int(last) - int(own) >= int(own) - int(first) else below


def render_config(lan: LanConfig) -> str:
    """Return the text of dnsmasq's configuration file."""
    lines = [
        "# Written by `zos bootstrap lan`.",
        "port=0",
        f"interface={lan.interface}",
        "except-interface=lo",
        "bind-interfaces",
        f"dhcp-leasefile={lan.folder}/leases",
        "enable-tftp",
        f"tftp-root={lan.folder}/tftp",
        "dhcp-userclass=set:ipxe,iPXE",
        "dhcp-match=set:ipxe,175",
        *(
            f"dhcp-match=set:{client.tag},option:client-arch,{number}"
            for client in CLIENTS
            for number in client.architectures
        ),
        f"dhcp-boot=tag:ipxe,{lan.script_url},,{lan.address.ip}",
    ]
    lines += full_lines(lan, lan.pool) if lan.pool else proxy_lines(lan)
    return "".join(f"{line}\n" for line in lines)


def proxy_lines(lan: LanConfig) -> list[str]:
    """Return the lines for a LAN whose addresses another server gives away."""
    network = lan.address.network
    services = [
        f'pxe-service=tag:!ipxe,{name},"Zero-OS",{client.file}'
        for client in CLIENTS
        for name in client.services
    ]
    return [f"dhcp-range={network.network_address},proxy,{network.netmask}", *services]


def full_lines(lan: LanConfig, pool: Pool) -> list[str]:
    """Return the lines for a LAN that has no other DHCP server."""
    # An option without a value is not sent; without such a line, this machine would be the router.
    dns = "".join(f",{address}" for address in lan.dns)
    lines = [
        "dhcp-authoritative",
        f"dhcp-range={pool.first},{pool.last},{lan.address.network.netmask},{LEASE}",
        f"dhcp-option=option:router{f',{lan.gateway}' if lan.gateway else ''}",
        f"dhcp-option=option:dns-server{dns}",
    ]
    for client in CLIENTS:
        file = f"{lan.url}/{client.file}" if client.is_http else client.file
        if client.is_http:
            lines.append(f"dhcp-option-force=tag:{client.tag},60,HTTPClient")
        lines.append(f"dhcp-boot=tag:{client.tag},tag:!ipxe,{file},,{lan.address.ip}")
    return lines
