"""Name servers in routers' advertisements."""

import random
from ipaddress import IPv6Address

import pytest

from node.network.advertisements import Advertisement, parse_advertisement

HEAD = bytes([134, 0, 0, 0, 64, 0, 7, 8]) + bytes(8)
PREFIX = bytes([3, 4]) + bytes(30)


def rdnss(*servers: str, lifetime: int = 600) -> bytes:
    """Return the option with these servers."""
    addresses = b"".join(IPv6Address(server).packed for server in servers)
    head = bytes([25, 1 + 2 * len(servers), 0, 0])
    return head + lifetime.to_bytes(4, "big") + addresses


def test_all_options_count() -> None:
    data = HEAD + rdnss("2001:db8::53") + PREFIX + rdnss("fe80::1", "2001:db8::53")
    assert parse_advertisement(data, "eth0") == Advertisement(("2001:db8::53", "fe80::1%eth0"))
    assert parse_advertisement(HEAD + PREFIX, "eth0") == Advertisement()


def test_whether_to_ask_by_dhcpv6_and_the_mtu() -> None:
    mtu = bytes([5, 1, 0, 0]) + (1400).to_bytes(4, "big")
    data = HEAD[:5] + b"\x80" + HEAD[6:]
    assert parse_advertisement(data + mtu, "eth0") == Advertisement((), is_managed=True, mtu=1400)
    data = HEAD[:5] + b"\x40" + HEAD[6:]
    assert parse_advertisement(data, "eth0") == Advertisement((), has_other=True)


def test_a_server_that_is_withdrawn_or_none() -> None:
    assert parse_advertisement(HEAD + rdnss("2001:db8::53", lifetime=0), "eth0") == Advertisement()
    assert parse_advertisement(HEAD + rdnss("::1", "ff02::1", "::"), "eth0") == Advertisement()
    many = rdnss(*(f"2001:db8::{n}" for n in range(1, 9)))
    assert parse_advertisement(HEAD + many, "eth0") == Advertisement(
        ("2001:db8::1", "2001:db8::2", "2001:db8::3")
    )


@pytest.mark.parametrize(
    "data", [b"", HEAD[:15], b"\x85" + HEAD[1:], HEAD + b"\x19\x00" + bytes(6), HEAD + b"\x19\x03"]
)
def test_what_is_broken_says_nothing(data: bytes) -> None:
    assert parse_advertisement(data, "eth0") is None


def test_any_bytes_can_be_parsed() -> None:
    source = random.Random(1)
    good = HEAD + rdnss("2001:db8::53", "fe80::1") + PREFIX
    for _ in range(5000):
        data = bytearray(good)
        for _ in range(source.randrange(1, 6)):
            data[source.randrange(16, len(data))] = source.randrange(256)
        parse_advertisement(bytes(data[: source.randrange(len(data) + 1)]), "eth0")
