"""DHCP messages: what the probe takes for an offer, and what HTTP Boot is answered."""

import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_server.lan.httpboot import answer
from bootstrap_server.lan.message import (
    DISCOVER,
    OFFER,
    Message,
    build_discover,
    build_http_offer,
    build_options,
    parse_message,
    parse_options,
)
from bootstrap_server.lan.probe import is_offer

MAC = bytes.fromhex("525400aa0009")
URL = "http://10.9.0.1:8090"
OWN = IPv4Address("10.9.0.1")
# An offer of dnsmasq 2.90: 10.9.0.56 from 10.9.0.2.
RECORDED = bytes.fromhex(
    "020106009d1f2c6a00008000000000000a0900380a09000200000000525400aa000900000000000000000000"
    + "00" * 192
    + "6382536335010236040a090002330400000e103a04000007083b0400000c4e0104ffffff001c040a0900ff"
    + "03040a090002ff"
)


def ask(architecture: int, vendor: bytes, kind: int = DISCOVER) -> bytes:
    """Return the question of a firmware."""
    options = {53: bytes([kind]), 60: vendor, 93: struct.pack("!H", architecture), 97: b"\0" * 17}
    return build_discover(b"abcd", MAC)[:240] + build_options(options)


def test_a_recorded_offer() -> None:
    offer = parse_message(RECORDED)
    assert offer and is_offer(offer)
    assert (offer.server, str(offer.yours)) == ("10.9.0.2", "10.9.0.56")
    assert offer.transaction.hex() == "9d1f2c6a"


def test_an_offer_without_an_address_is_a_proxys() -> None:
    proxy = parse_message(RECORDED[:16] + bytes(4) + RECORDED[20:])
    assert proxy and not is_offer(proxy)


def test_the_question_of_the_probe() -> None:
    data = build_discover(b"abcd", MAC)
    asked = parse_message(data)
    assert len(data) >= 300
    assert asked == Message(
        False, b"abcd", MAC, IPv4Address(0), {53: bytes([DISCOVER]), 55: b"\x01\x03\x06"}
    )
    assert data[10:12] == b"\x80\0"  # answers are to be broadcast


@pytest.mark.parametrize(("architecture", "file"), [(16, "ipxe.efi"), (19, "ipxe-arm64.efi")])
def test_http_boot_is_told_its_file(architecture: int, file: str) -> None:
    said = answer(ask(architecture, b"HTTPClient:Arch:00016:UNDI:003001"), OWN, URL)
    assert said
    offer = parse_message(said)
    assert offer and offer.is_answer and offer.kind == OFFER
    assert (offer.transaction, offer.hardware, offer.server) == (b"abcd", MAC, "10.9.0.1")
    assert offer.yours == IPv4Address(0)
    assert offer.options[60] == b"HTTPClient"
    assert offer.options[67] == f"{URL}/{file}".encode()
    assert offer.options[97] == b"\0" * 17


@pytest.mark.parametrize(
    "data",
    [
        ask(7, b"PXEClient:Arch:00007:UNDI:003000"),
        ask(7, b"HTTPClient:Arch:00007"),
        ask(16, b"HTTPClient:Arch:00016", kind=3),
        ask(16, b"HTTPClient:Arch:00016").replace(b"\x01\x01\x06\0", b"\x02\x01\x06\0", 1),
        build_discover(b"abcd", MAC),
        RECORDED,
        b"",
    ],
)
def test_nothing_else_is_answered(data: bytes) -> None:
    assert answer(data, OWN, URL) is None


@given(st.binary(max_size=600))
def test_any_bytes_are_a_message_or_none(data: bytes) -> None:
    for whole in (data, RECORDED[:240] + data, ask(16, b"HTTPClient")[:240] + data):
        parse_message(whole)
        answer(whole, OWN, URL)


@given(st.dictionaries(st.integers(1, 254), st.binary(max_size=255)))
def test_options_come_back(options: dict[int, bytes]) -> None:
    assert parse_options(build_options(options)) == options


def test_options_that_reach_beyond_the_end() -> None:
    assert parse_options(b"\x35\x02\x01") is None
    assert parse_options(b"\x35") is None
    assert parse_options(b"\0\0\x35\x01\x02\x35\x01\x03\xff\x35") == {53: b"\x02\x03"}


def test_an_identity_that_is_too_long_is_not_sent_back_in_parts() -> None:
    asked = Message(False, b"abcd", MAC, IPv4Address(0), {97: bytes(300)})
    offer = parse_message(build_http_offer(asked, OWN, URL))
    assert offer and 97 not in offer.options
