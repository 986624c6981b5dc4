"""DHCPv6 messages (RFC 8415): the parts that a node sends and reads. No I/O.

Any machine on the network can send a message, so `parse_message` trusts no length in it.
"""

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from node.network.dhcp.options import MAX_DOMAINS, is_domain, read_name
from node.network.leases import MAX_NAME_SERVERS, host_address

CLIENT_ID, SERVER_ID, IA_NA, IA_ADDRESS, WANTED, ELAPSED = 1, 2, 3, 5, 6, 8
STATUS, NAME_SERVERS, DOMAINS, REFRESH = 13, 23, 24, 32
ASKED_FOR = (NAME_SERVERS, DOMAINS)
IA_HEAD, ADDRESS = struct.Struct("!III"), struct.Struct("!16sII")
OPTION = struct.Struct("!HH")
IA_ID = 1
MAX_DUID_BYTES = 130
DUID_LL, ETHERNET = 3, 1
MAX_ELAPSED = 0xFFFF


class Kind(IntEnum):
    """The types of messages that a client sends or obeys."""

    SOLICIT = 1
    ADVERTISE = 2
    REQUEST = 3
    RENEW = 5
    REBIND = 6
    REPLY = 7
    RELEASE = 8
    INFORMATION = 11


@dataclass(frozen=True)
class Address:
    """An address of a server, with its times in seconds."""

    address: str
    preferred_s: int
    valid_s: int
    renew_s: int = 0
    rebind_s: int = 0


@dataclass(frozen=True)
class Request:
    """A message to servers; `server` names one, and `address` is that which the client has."""

    kind: Kind
    xid: int
    duid: bytes
    elapsed_s: float = 0.0
    server: bytes = b""
    address: str = ""


@dataclass(frozen=True)
class Reply:
    """A server's message; `address` is None if it grants none."""

    kind: Kind
    xid: int
    client: bytes
    server: bytes
    address: Address | None
    name_servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    refresh_s: int = 0
    status: int = 0


def make_duid(mac: bytes) -> bytes:
    """Return the identifier of a machine by its card: a node keeps nothing from boot to boot."""
    return struct.pack("!HH", DUID_LL, ETHERNET) + mac


def build_message(request: Request) -> bytes:
    """Return the bytes of `request`."""
    elapsed = min(int(request.elapsed_s * 100), MAX_ELAPSED)
    parts = [option(CLIENT_ID, request.duid)]
    if request.server:
        parts.append(option(SERVER_ID, request.server))
    if request.kind is not Kind.INFORMATION:
        inner = b""
        if request.address:
            packed = ipaddress.IPv6Address(request.address).packed
            inner = option(IA_ADDRESS, ADDRESS.pack(packed, 0, 0))
        parts.append(option(IA_NA, IA_HEAD.pack(IA_ID, 0, 0) + inner))
    if request.kind is not Kind.RELEASE:
        wanted = (*ASKED_FOR, REFRESH) if request.kind is Kind.INFORMATION else ASKED_FOR
        parts.append(option(WANTED, b"".join(code.to_bytes(2, "big") for code in wanted)))
    parts.append(option(ELAPSED, elapsed.to_bytes(2, "big")))
    return bytes([request.kind]) + request.xid.to_bytes(3, "big") + b"".join(parts)


def option(code: int, value: bytes) -> bytes:
    """Return one encoded option."""
    return OPTION.pack(code, len(value)) + value


def parse_message(data: bytes) -> Reply | None:
    """Return the server's message in `data`, or None if it is not one.

    An option that can't be decoded is left out.
    """
    if len(data) < 4 or data[0] not in (Kind.ADVERTISE, Kind.REPLY):
        return None
    raw = dict(read_options(data[4:]))
    client, server = raw.get(CLIENT_ID, b""), raw.get(SERVER_ID, b"")
    if not client or not 0 < len(server) <= MAX_DUID_BYTES:
        return None
    address, status = read_ia(raw.get(IA_NA, b""))
    return Reply(
        Kind(data[0]),
        int.from_bytes(data[1:4], "big"),
        client,
        server,
        address,
        read_addresses(raw.get(NAME_SERVERS, b"")),
        read_domains(raw.get(DOMAINS, b"")),
        int.from_bytes(raw[REFRESH], "big") if len(raw.get(REFRESH, b"")) == 4 else 0,
        read_status(raw.get(STATUS, b"")) or status,
    )


def read_options(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the options in `data`, up to one that is cut off."""
    at = 0
    while at + OPTION.size <= len(data):
        code, size = OPTION.unpack_from(data, at)
        value = data[at + OPTION.size : at + OPTION.size + size]
        if len(value) < size:
            return
        yield code, value
        at += OPTION.size + size


def read_ia(data: bytes) -> tuple[Address | None, int]:
    """Return the first usable address of an identity association, and its status."""
    if len(data) < IA_HEAD.size:
        return None, 0
    number, renew_s, rebind_s = IA_HEAD.unpack_from(data)
    if number != IA_ID:
        return None, 0
    found, status = None, 0
    for code, value in read_options(data[IA_HEAD.size :]):
        if code == IA_ADDRESS and len(value) >= ADDRESS.size and found is None:
            found = read_address(value, renew_s, rebind_s)
        elif code == STATUS:
            status = read_status(value)
    return found, status


def read_address(data: bytes, renew_s: int, rebind_s: int) -> Address | None:
    """Return an address that a host can have; None if it is none, or no longer valid."""
    packed, preferred_s, valid_s = ADDRESS.unpack_from(data)
    address = ipaddress.IPv6Address(packed)
    try:
        text = host_address(str(address), ipaddress.ip_address)
    except ValueError:
        return None
    if address.is_link_local or address.ipv4_mapped or not 0 < preferred_s <= valid_s:
        return None
    return Address(text, preferred_s, valid_s, renew_s, rebind_s)


def read_status(data: bytes) -> int:
    """Return a status code; 0 is success."""
    return int.from_bytes(data[:2], "big") if len(data) >= 2 else 0


def read_addresses(data: bytes) -> tuple[str, ...]:
    """Return the addresses of name servers."""
    found = []
    for at in range(0, len(data) - 15, 16):
        address = ipaddress.IPv6Address(data[at : at + 16])
        try:
            text = host_address(str(address), ipaddress.ip_address)
        except ValueError:
            continue
        if not address.is_link_local:  # it would need the link's name
            found.append(text)
    return tuple(dict.fromkeys(found))[:MAX_NAME_SERVERS]


def read_domains(data: bytes) -> tuple[str, ...]:
    """Return the search list; nothing of one that is broken."""
    names: list[str] = []
    at = 0
    try:
        while at < len(data) and len(names) < MAX_DOMAINS:
            name, at = read_name(data, at)
            names += [name] if is_domain(name) else []
    except ValueError:
        return ()
    return tuple(names)
