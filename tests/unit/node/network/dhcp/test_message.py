"""DHCP's wire format: messages both ways, options, and what a hostile server may send."""

import random
import socket
from typing import Any

import pytest

from node.model import NodeError
from node.network.dhcp.message import FIXED, Kind, Request, build_message, parse_message
from node.network.dhcp.options import DECODERS, read_domains, read_options, read_routes
from node.network.dhcp.wire import checksum, unwrap, wrap
from node.network.leases import parse_lease, resolv_conf

MAC = b"\x02\0\0\0\0\x01"


def answer(options: bytes, file: bytes = b"", sname: bytes = b"") -> bytes:
    """Return a server's message with raw options."""
    head = FIXED.pack(
        *(2, 1, 6, 0, 7, 0, 0, bytes(4), socket.inet_aton("10.9.0.50"), bytes(4), bytes(4)),
        *(MAC, sname, file, b"\x63\x82\x53\x63"),
    )
    return head + b"\x35\x01\x05" + options


def parsed(options: bytes, **fields: bytes) -> dict[str, Any]:
    """Return the decoded options of a message."""
    reply = parse_message(answer(options, **fields))
    assert reply is not None and reply.kind == Kind.ACK
    return dict(reply.options)


def test_a_request_has_what_a_server_needs() -> None:
    data = build_message(Request(Kind.REQUEST, 7, MAC, 3, wanted="10.9.0.5", server="10.9.0.1"))
    assert len(data) >= 300 and data[:4] == b"\x01\x01\x06\0" and data[28:34] == MAC
    options = read_options(data[FIXED.size :])
    assert options[53] == b"\x03" and options[61] == b"\x01" + MAC
    assert options[50] == socket.inet_aton("10.9.0.5")
    assert options[54] == socket.inet_aton("10.9.0.1")
    asked = list(options[55])
    assert {1, 3, 6, 15, 26, 119, 121} <= set(asked) and asked.index(121) < asked.index(3)


def test_a_reply() -> None:
    got = parsed(b"\x01\x04\xff\xff\xff\0\x03\x04\x0a\x09\0\x01\x33\x04\0\0\x0e\x10\xff")
    assert got == {"subnet_mask": "255.255.255.0", "router": ["10.9.0.1"], "lease_time": 3600}


def test_an_option_that_is_split_is_joined() -> None:
    parts = b"\x77\x04\x03lab" + b"\x77\x09\x07example\0"
    assert parsed(parts)["domain_search"] == ["lab.example"]


def test_options_go_on_in_the_header_if_one_says_so() -> None:
    file = b"\x0f\x03lab\xff"
    assert parsed(b"\x34\x01\x01", file=file)["domain_name"] == ["lab"]
    assert "domain_name" not in parsed(b"", file=file)


def test_a_search_list_with_pointers() -> None:
    data = b"\x03eng\x07example\x03com\0" + b"\x05sales\xc0\x04"
    assert read_domains(data) == ["eng.example.com", "sales.example.com"]


@pytest.mark.parametrize(
    "data",
    [b"\xc0\0", b"\x01a\xc0\x02", b"\x01a\xc0\x00\xc0", b"\x05ab", b"\xff", b"\x01a"],
    ids=["itself", "its own pointer", "cut pointer", "cut label", "odd label", "no end"],
)
def test_a_bad_search_list_is_left_out(data: bytes) -> None:
    assert "domain_search" not in parsed(bytes([119, len(data)]) + data)


@pytest.mark.parametrize("name", ["a\nnameserver 6.6.6.6", "-a", "a..b", "x" * 64, "a;b", ""])
def test_a_domain_that_would_break_resolv_conf_is_left_out(name: str) -> None:
    data = name.encode()
    assert parsed(bytes([15, len(data)]) + data).get("domain_name", []) == []


def test_classless_routes() -> None:
    data = b"\0\x0a\x09\0\x01" + b"\x10\x0a\x01\x0a\x09\0\x02" + b"\x20\x0a\x09\0\x01\0\0\0\0"
    assert read_routes(data) == [
        ("0.0.0.0/0", "10.9.0.1"),
        ("10.1.0.0/16", "10.9.0.2"),
        ("10.9.0.1/32", "0.0.0.0"),
    ]


@pytest.mark.parametrize("data", [b"\x21\x0a\0\0\0\0\0\0\0\0", b"\x18\x0a\x01", b"\0" * 5 * 65])
def test_bad_routes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="route"):
        read_routes(data)


@pytest.mark.parametrize("size", [0, 200, FIXED.size, FIXED.size + 1])
def test_a_message_that_is_cut_off(size: int) -> None:
    assert parse_message(answer(b"")[:size]) is None


def test_garbage_is_never_more_than_nothing() -> None:
    chance = random.Random(7)
    for _ in range(3000):
        tail = chance.randbytes(chance.randrange(200))
        reply = parse_message(answer(tail, chance.randbytes(128), chance.randbytes(64)))
        assert reply is None or reply.xid == 7
        unwrap(chance.randbytes(chance.randrange(80)))


def test_a_lease_from_garbage_is_good_or_refused() -> None:
    chance = random.Random(8)
    codes = [*DECODERS, 52, 82]
    refused = 0
    for _ in range(3000):
        options = b""
        for code in chance.sample(codes, chance.randrange(len(codes))):
            value = chance.randbytes(chance.choice((0, 1, 2, 4, 5, 8, 9, 40)))
            options += bytes([code, len(value)]) + value
        reply = parse_message(answer(options))
        if reply is None:
            continue
        try:
            lease = parse_lease("eth0", {"yiaddr": reply.address, "options": reply.options})
        except NodeError:
            refused += 1
        else:
            words = resolv_conf(lease).split()
            assert all(word.isprintable() for word in words) and str(lease).isprintable()
    assert 0 < refused < 3000


def test_a_datagram_is_wrapped_with_good_checksums() -> None:
    packet = wrap(b"hello", "10.9.0.5", "10.9.0.1")
    assert checksum(packet[:20]) == 0
    pseudo = packet[12:20] + b"\0\x11" + packet[24:26]
    assert checksum(pseudo + packet[20:]) == 0
    back = packet[:20] + packet[22:24] + packet[20:22] + packet[24:]  # from the server's port
    assert unwrap(back) == b"hello"
    assert unwrap(packet) is None
    assert unwrap(back[:-1]) is None
