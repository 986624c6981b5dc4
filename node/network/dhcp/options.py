"""DHCP options: split (RFC 2132, RFC 3396) and decoded. No I/O.

A decoder raises `ValueError` for a value that is malformed.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

PAD, END, OVERLOAD = 0, 255, 52
FILE_FIELD, SNAME_FIELD = 1, 2  # bits of the overload option
MAX_ROUTES = 64
MAX_DOMAINS = 6  # resolv.conf(5): older resolvers read no more
MAX_DOMAIN_BYTES = 253
LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
POINTER = 0xC0


def read_options(data: bytes, file: bytes = b"", sname: bytes = b"") -> dict[int, bytes]:
    """Return the raw options; the parts of one that comes several times are joined (RFC 3396).

    The header's fields `file` and `sname` are read too if the overload option says so.
    """
    found: dict[int, bytes] = {}
    collect(data, found)
    overload = found.get(OVERLOAD, b"\0")[:1] or b"\0"
    if overload[0] & FILE_FIELD:
        collect(file, found)
    if overload[0] & SNAME_FIELD:
        collect(sname, found)
    return found


def collect(data: bytes, found: dict[int, bytes]) -> None:
    """Add the options in `data` to `found`; stop at the end or at one that is cut off."""
    at = 0
    while at < len(data) and data[at] != END:
        if data[at] == PAD:
            at += 1
            continue
        value = data[at + 2 : at + 2 + data[at + 1]] if at + 1 < len(data) else b""
        if at + 1 >= len(data) or len(value) < data[at + 1]:
            return
        found[data[at]] = found.get(data[at], b"") + value
        at += 2 + len(value)


def read_address(data: bytes) -> str:
    """Return one address."""
    if len(data) != 4:
        raise ValueError("an address has four bytes")
    return str(ipaddress.IPv4Address(data))


def read_addresses(data: bytes) -> list[str]:
    """Return a list of addresses."""
    if not data or len(data) % 4:
        raise ValueError("a list of addresses has four bytes for each")
    return [read_address(data[at : at + 4]) for at in range(0, len(data), 4)]


def read_number(data: bytes) -> int:
    """Return a number of two or four bytes."""
    if len(data) not in (2, 4):
        raise ValueError("a number has two or four bytes")
    return int.from_bytes(data, "big")


def read_text(data: bytes) -> str:
    """Return a printable text without the NUL that some servers append."""
    text = data.rstrip(b"\0").decode("ascii")
    if not text.isprintable():
        raise ValueError("the text has control characters")
    return text


def read_routes(data: bytes) -> list[tuple[str, str]]:
    """Return the classless routes of RFC 3442 as pairs of network and gateway."""
    routes: list[tuple[str, str]] = []
    at = 0
    while at < len(data):
        if len(routes) == MAX_ROUTES:
            raise ValueError("too many routes")
        prefix = data[at]
        size = (prefix + 7) // 8
        network, gateway = data[at + 1 : at + 1 + size], data[at + 1 + size : at + 5 + size]
        if prefix > 32 or len(gateway) != 4:
            raise ValueError("a route is cut off")
        address = ipaddress.IPv4Network((network.ljust(4, b"\0"), prefix), strict=False)
        routes.append((str(address), read_address(gateway)))
        at += 5 + size
    return routes


def read_domain(data: bytes) -> list[str]:
    """Return the domain name; some servers put several into it, with spaces between."""
    return [word for word in read_text(data).split() if is_domain(word)][:MAX_DOMAINS]


def read_domains(data: bytes) -> list[str]:
    """Return the search list of RFC 3397: names as in DNS, compressed within the option."""
    names: list[str] = []
    at = 0
    while at < len(data) and len(names) < MAX_DOMAINS:
        name, at = read_name(data, at)
        if is_domain(name):
            names.append(name)
    return names


def read_name(data: bytes, start: int) -> tuple[str, int]:
    """Return the name at `start`, and where the next one begins."""
    labels: list[str] = []
    at, after = start, -1
    while True:
        head = data[at : at + 1]
        if not head:
            raise ValueError("a name is cut off")
        size = head[0]
        if size & POINTER == POINTER:
            target = int.from_bytes(data[at : at + 2], "big") & 0x3FFF
            if target >= at:  # only backwards, so that there is no loop
                raise ValueError("a name points forwards")
            after = at + 2 if after < 0 else after
            at = target
        elif size > 63:
            raise ValueError("a label is too long")
        elif size:
            labels.append(data[at + 1 : at + 1 + size].decode("ascii"))
            at += 1 + size
            if len(labels) > 127:
                raise ValueError("a name is too long")
        else:
            return ".".join(labels), at + 1 if after < 0 else after


def is_domain(name: str) -> bool:
    """Return whether `name` may stand in resolv.conf."""
    labels = name.removesuffix(".").split(".")
    return len(name) <= MAX_DOMAIN_BYTES and all(LABEL.fullmatch(label) for label in labels)


# Code: the option's name here, and the function that decodes it.
DECODERS: dict[int, tuple[str, Callable[[bytes], Any]]] = {
    1: ("subnet_mask", read_address),
    3: ("router", read_addresses),
    6: ("name_server", read_addresses),
    15: ("domain_name", read_domain),
    26: ("mtu", read_number),
    51: ("lease_time", read_number),
    54: ("server_id", read_address),
    56: ("message", read_text),
    58: ("renewal_time", read_number),
    59: ("rebinding_time", read_number),
    119: ("domain_search", read_domains),
    121: ("classless_routes", read_routes),
}
