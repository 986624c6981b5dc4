"""DHCP messages: RFC 2131's fixed part and the options of RFC 2132 that a node reads. No I/O.

Any machine on the network can send a message, so `parse_message` trusts no length in it.
"""

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from node.network.dhcp.options import DECODERS, read_options

FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
COOKIE = b"\x63\x82\x53\x63"
BOOT_REQUEST, BOOT_REPLY = 1, 2
ETHERNET, MAC_BYTES = 1, 6
LEAST_BYTES = 300  # BOOTP's size; some relays drop what is shorter
MOST_BYTES = 1472  # what fits into an Ethernet frame
END = b"\xff"
VENDOR = b"zero-os"
MESSAGE_TYPE, SERVER_ID, REQUESTED_ADDRESS, WANTED = 53, 54, 50, 55
MAX_SIZE, VENDOR_CLASS, CLIENT_ID = 57, 60, 61
# RFC 3442: classless routes stand before the router.
ASKED_FOR = (1, 121, 3, 6, 15, 26, 51, 54, 58, 59, 119)
UNSET = "0.0.0.0"  # noqa: S104 - the client's address before it has one


class Kind(IntEnum):
    """The types of messages that a client sends or obeys."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    ACK = 5
    NAK = 6
    RELEASE = 7


@dataclass(frozen=True)
class Request:
    """A message to a server; empty texts are left out."""

    kind: Kind
    xid: int
    mac: bytes
    seconds: int = 0
    own: str = UNSET  # the address that the client has
    wanted: str = ""
    server: str = ""


@dataclass(frozen=True)
class Reply:
    """A server's message; `options` has the decoded options by name (see `DECODERS`)."""

    kind: Kind
    xid: int
    mac: bytes
    address: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def server(self) -> str:
        """Return the server's identifier, "" without one."""
        return str(self.options.get("server_id", ""))


def build_message(request: Request) -> bytes:
    """Return the bytes of `request`."""
    fixed = FIXED.pack(
        *(BOOT_REQUEST, ETHERNET, MAC_BYTES, 0, request.xid, min(request.seconds, 0xFFFF), 0),
        socket.inet_aton(request.own),
        *(bytes(4), bytes(4), bytes(4), request.mac, b"", b"", COOKIE),
    )
    options = option(MESSAGE_TYPE, bytes([request.kind]))
    options += option(CLIENT_ID, bytes([ETHERNET]) + request.mac)
    if request.wanted:
        options += option(REQUESTED_ADDRESS, socket.inet_aton(request.wanted))
    if request.server:
        options += option(SERVER_ID, socket.inet_aton(request.server))
    if request.kind != Kind.RELEASE:
        options += option(VENDOR_CLASS, VENDOR) + option(WANTED, bytes(ASKED_FOR))
        options += option(MAX_SIZE, MOST_BYTES.to_bytes(2, "big"))
    return (fixed + options + END).ljust(LEAST_BYTES, b"\0")


def option(code: int, value: bytes) -> bytes:
    """Return one encoded option."""
    return bytes([code, len(value)]) + value


def parse_message(data: bytes) -> Reply | None:
    """Return the server's message in `data`, or None if it is not one.

    An option that cannot be decoded is left out.
    """
    if len(data) < FIXED.size:
        return None
    op, hardware, mac_bytes, _, xid, _, _, _, yours, _, _, mac, sname, file, cookie = FIXED.unpack(
        data[: FIXED.size]
    )
    if (op, hardware, mac_bytes, cookie) != (BOOT_REPLY, ETHERNET, MAC_BYTES, COOKIE):
        return None
    raw = read_options(data[FIXED.size :], file, sname)
    try:
        kind = Kind(raw[MESSAGE_TYPE][0])
    except (KeyError, IndexError, ValueError):
        return None
    return Reply(kind, xid, mac[:MAC_BYTES], socket.inet_ntoa(yours), decode(raw))


def decode(raw: Mapping[int, bytes]) -> dict[str, Any]:
    """Return the values of the known options by name."""
    values = {}
    for code, (name, decoder) in DECODERS.items():
        if code in raw:
            try:
                values[name] = decoder(raw[code])
            except ValueError:
                continue
    return values
