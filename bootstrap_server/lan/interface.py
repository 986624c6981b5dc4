"""The network interface that the LAN's machines are on: its IPv4 address, and its ports."""

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Interface

from bootstrap_server.errors import SettingsError
from bootstrap_server.lan.config import check_interface
from common.errors import ZosError

_SIOCGIFFLAGS, _SIOCGIFADDR, _SIOCGIFNETMASK = 0x8913, 0x8915, 0x891B  # <linux/sockios.h>
_IFF_UP = 1
_REQUEST_BYTES = 40  # struct ifreq
DHCP_PORT, PROXY_PORT, TFTP_PORT = 67, 4011, 69
SO_BINDTODEVICE = 25


class LanError(ZosError):
    """The LAN can't be served."""


def demand_root() -> None:
    """Raise `LanError` unless this process may open the ports of DHCP and TFTP."""
    if os.geteuid() != 0:
        raise LanError("cannot serve DHCP and TFTP: only root may", hint="sudo zos bootstrap lan …")


def find_address(name: str) -> IPv4Interface:
    """Return the first IPv4 address of an interface that is up. Raises `SettingsError`."""
    check_interface(name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            flags = struct.unpack("H", ask(sock, _SIOCGIFFLAGS, name)[16:18])[0]
        except OSError as error:
            names = ", ".join(found for _, found in socket.if_nameindex() if found != "lo")
            raise SettingsError(
                f"cannot use the interface {name}: {os.strerror(error.errno or 0)}",
                hint=f"this machine has {names or 'none'}",
            ) from error
        if not flags & _IFF_UP:
            raise SettingsError(
                f"cannot use the interface {name}: it is down", hint=f"ip link set {name} up"
            )
        try:
            address, mask = (
                socket.inet_ntoa(ask(sock, number, name)[20:24])
                for number in (_SIOCGIFADDR, _SIOCGIFNETMASK)
            )
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            raise SettingsError(
                f"cannot use the interface {name}: it has no IPv4 address",
                hint=f"give it a fixed one, for example: ip addr add 192.168.7.1/24 dev {name}",
            ) from error
    return IPv4Interface(f"{address}/{mask}")


def ask(sock: socket.socket, number: int, name: str) -> bytes:
    """Return the kernel's answer to a question about an interface (netdevice(7))."""
    return fcntl.ioctl(sock, number, name.encode().ljust(_REQUEST_BYTES, b"\0"))


def demand_ports(name: str, *ports: int) -> None:
    """Raise `LanError` if another program has one of these UDP ports on the interface.

    dnsmasq shares its DHCP port with other servers, of which the clients would then get answers.
    """
    for port in ports:
        with udp_socket(name) as sock:
            try:
                sock.bind(("", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                raise LanError(
                    f"cannot serve {name}: another program has UDP port {port}",
                    hint=f"`ss -ulpn 'sport = :{port}'` shows which; end it",
                ) from error


@contextmanager
def udp_socket(name: str) -> Iterator[socket.socket]:
    """Yield a UDP socket that is bound to an interface and may send broadcasts."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, name.encode() + b"\0")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        yield sock
