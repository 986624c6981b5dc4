"""The few DHCP messages that are not dnsmasq's: a probe, and the answer to UEFI HTTP Boot. Pure.

Formats: RFC 2131, RFC 2132; UEFI specification 2.10, section 24.7. What arrives is from anybody:
a message that is not understood is None.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

_HEAD = struct.Struct("!BBBB4sHH4s4s4s4s16s64s128s4s")
_COOKIE = b"\x63\x82\x53\x63"
_ASK, _ANSWER = 1, 2
_BROADCAST = 0x8000
_PAD, _END = 0, 255
_OPTION_MAX_BYTES = 255
_LEAST_BYTES = 300  # BOOTP's; some servers drop what is shorter
_KIND, _SERVER, _CLASS, _BOOT_FILE, _ARCHITECTURE, _IDENTITY = 53, 54, 60, 67, 93, 97
DISCOVER, OFFER = 1, 2
HTTP_CLASS = b"HTTPClient"


@dataclass(frozen=True, slots=True)
class Message:
    """A message, as far as it matters here. `hardware` and `transaction` name who asks."""

    is_answer: bool
    transaction: bytes
    hardware: bytes
    yours: IPv4Address
    options: Mapping[int, bytes]

    @property
    def kind(self) -> int:
        """Return the kind of message, 0 if it is none of DHCP's."""
        value = self.options.get(_KIND, b"")
        return value[0] if len(value) == 1 else 0

    @property
    def server(self) -> str:
        """Return the server that sent it, as it calls itself; "" if it does not say."""
        value = self.options.get(_SERVER, b"")
        return str(IPv4Address(value)) if len(value) == 4 else ""

    @property
    def http_architecture(self) -> int | None:
        """Return the architecture of a client of UEFI HTTP Boot that asks; None for any other."""
        value = self.options.get(_ARCHITECTURE, b"")
        is_asking = not self.is_answer and self.kind == DISCOVER and len(value) >= 2
        is_http = self.options.get(_CLASS, b"").startswith(HTTP_CLASS)
        return int.from_bytes(value[:2], "big") if is_asking and is_http else None


def build_discover(transaction: bytes, hardware: bytes) -> bytes:
    """Return the message that asks every server of a LAN for an offer, to be broadcast."""
    head = build_head(_ASK, transaction, hardware, bytes(4))
    options = {_KIND: bytes([DISCOVER]), 55: bytes([1, 3, 6])}
    return (head + build_options(options)).ljust(_LEAST_BYTES, b"\0")


def build_http_offer(asked: Message, server: IPv4Address, url: str) -> bytes:
    """Return the offer of a boot file, without an address, to a client of UEFI HTTP Boot."""
    head = build_head(_ANSWER, asked.transaction, asked.hardware, server.packed)
    options = {_KIND: bytes([OFFER]), _SERVER: server.packed, _CLASS: HTTP_CLASS}
    options[_BOOT_FILE] = url.encode()
    identity = asked.options.get(_IDENTITY, b"")
    if 0 < len(identity) <= _OPTION_MAX_BYTES:
        options[_IDENTITY] = identity
    return (head + build_options(options)).ljust(_LEAST_BYTES, b"\0")


def build_head(operation: int, transaction: bytes, hardware: bytes, next_server: bytes) -> bytes:
    """Return a message up to its options."""
    none = bytes(4)
    hops = (1, len(hardware), 0, transaction, 0, _BROADCAST)  # 1 is Ethernet
    names = (hardware, b"", b"", _COOKIE)
    return _HEAD.pack(operation, *hops, none, none, next_server, none, *names)


def build_options(options: Mapping[int, bytes]) -> bytes:
    """Return options, each of at most 255 bytes, and their end."""
    rows = (bytes([code, len(value)]) + value for code, value in options.items())
    return b"".join(rows) + bytes([_END])


def parse_message(data: bytes) -> Message | None:
    """Return a message, or None for anything that is not a well-formed one."""
    if len(data) < _HEAD.size:
        return None
    operation, kind, length, _, transaction, _, _, _, yours, *_, hardware, _, _, cookie = (
        _HEAD.unpack_from(data)
    )
    if operation not in (_ASK, _ANSWER) or (kind, length) != (1, 6) or cookie != _COOKIE:
        return None
    options = parse_options(data[_HEAD.size :])
    if options is None:
        return None
    return Message(
        operation == _ANSWER, transaction, hardware[:length], IPv4Address(yours), options
    )


def parse_options(data: bytes) -> dict[int, bytes] | None:
    """Return options by number; None if one reaches beyond the end."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != _END:
        code = data[at]
        at += 1
        if code == _PAD:
            continue
        if at >= len(data) or at + 1 + data[at] > len(data):
            return None
        size = data[at]
        found[code] = found.get(code, b"") + data[at + 1 : at + 1 + size]  # RFC 3396
        at += 1 + size
    return found
