"""Values that all rooms share."""

import ipaddress
from typing import NamedTuple


class Place(NamedTuple):
    """A namespace of a zdb server: where pieces are. It has no password, so it may be written."""

    host: str
    port: int
    namespace: str | None = None

    @property
    def address(self) -> str:
        """Return host and port, as a configuration and upstream's metadata have them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """Return what a person reads, as upstream shows it."""
        return f"{self.address} {self.namespace or '[default namespace]'}"


class Backend(NamedTuple):
    """A place, and the password that opens it."""

    place: Place
    password: str | None = None


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of `IPv4:port` or `[IPv6]:port`; raise `ValueError` for other text.

    Names of hosts are refused, as by upstream: what a name means could change under stored files.
    """
    host, colon, port = text.rpartition(":")
    is_wrapped = host.startswith("[") and host.endswith("]")
    if not colon or not port.isascii() or not port.isdigit() or not 0 <= int(port) < 65536:
        raise ValueError(f"{text!r} is no address: it needs an IP address and a port")
    try:
        found = ipaddress.ip_address(host[1:-1] if is_wrapped else host)
    except ValueError:
        raise ValueError(
            f"{text!r} is no address: IPv4:port or [IPv6]:port, without names of hosts"
        ) from None
    if (found.version == 6) != is_wrapped or "%" in host:
        raise ValueError(f"{text!r} is no address: IPv6 addresses have brackets and no zone")
    return _shown(found), int(port)


def _shown(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Return the text of an address as Rust writes it: mapped IPv4 addresses with dots."""
    mapped = getattr(address, "ipv4_mapped", None)
    return f"::ffff:{mapped}" if mapped else str(address)


class Shape(NamedTuple):
    """The numbers of data and parity shards."""

    k: int
    m: int

    @property
    def total(self) -> int:
        """Return the number of all shards."""
        return self.k + self.m
