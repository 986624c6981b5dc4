"""DHCPv6 messages: golden bytes, and what broken ones say."""

import random

import pytest

from node.network.dhcp6.message import (
    Address,
    Kind,
    Reply,
    Request,
    build_message,
    make_duid,
    parse_message,
)

DUID = make_duid(bytes.fromhex("525400123456"))
SERVER = bytes.fromhex("0001000123456789525500000001")
ADDRESS = "2001:db8:9::1234"
PACKED = "20010db8000900000000000000001234"
OWN = "0001000a" + "00030001525400123456"
THEIRS = "0002000e" + SERVER.hex()


def test_a_solicitation() -> None:
    data = build_message(Request(Kind.SOLICIT, 0xABCDEF, DUID, elapsed_s=1.5))
    assert data.hex() == (
        "01abcdef"
        + OWN
        + "0003000c"
        + "000000010000000000000000"
        + "0006000400170018"
        + "000800020096"
    )


def test_a_request_names_the_server_and_the_address() -> None:
    data = build_message(Request(Kind.REQUEST, 1, DUID, server=SERVER, address=ADDRESS))
    assert data.hex() == (
        "03000001" + OWN + THEIRS + "00030028" + "000000010000000000000000"
        "00050018" + PACKED + "0000000000000000" + "0006000400170018" + "000800020000"
    )


def test_a_question_for_what_is_beside_an_address() -> None:
    data = build_message(Request(Kind.INFORMATION, 1, DUID, elapsed_s=1e6))
    assert data.hex() == "0b000001" + OWN + "00060006001700180020" + "00080002ffff"


def test_a_release() -> None:
    data = build_message(Request(Kind.RELEASE, 1, DUID, server=SERVER, address=ADDRESS))
    assert data[0] == 8 and "00060004" not in data.hex()


REPLY = bytes.fromhex(
    "07abcdef" + OWN + THEIRS + "00030028" + "00000001000000640000" + "00a0"
    "00050018" + PACKED + "000000c8" + "0000012c"
    "00170010" + "20010db8000000000000000000000053"
    "0018000d" + "036c6162076578616d706c6500"
)


def test_a_reply() -> None:
    assert parse_message(REPLY) == Reply(
        Kind.REPLY,
        0xABCDEF,
        DUID,
        SERVER,
        Address(ADDRESS, preferred_s=200, valid_s=300, renew_s=100, rebind_s=160),
        ("2001:db8::53",),
        ("lab.example",),
    )


def test_a_refusal_has_a_status() -> None:
    status = "000d0002" + "0002"
    data = "07abcdef" + OWN + THEIRS + "00030012" + "000000010000000000000000" + status
    reply = parse_message(bytes.fromhex(data))
    assert reply is not None and (reply.address, reply.status) == (None, 2)


@pytest.mark.parametrize(
    "packed",
    ["0" * 32, "0" * 31 + "1", "ff02" + "0" * 27 + "1", "fe80" + "0" * 27 + "1"],
)
def test_an_address_that_no_host_can_have_is_none(packed: str) -> None:
    reply = parse_message(bytes.fromhex(REPLY.hex().replace(PACKED, packed)))
    assert reply is not None and reply.address is None


@pytest.mark.parametrize("times", ["000000000000012c", "0000012d0000012c", "0000000000000000"])
def test_an_address_whose_times_are_impossible_is_none(times: str) -> None:
    data = REPLY.hex().replace("000000c8" + "0000012c", times)
    reply = parse_message(bytes.fromhex(data))
    assert reply is not None and reply.address is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        REPLY[:3],
        b"\x01" + REPLY[1:],
        REPLY[:4],
        bytes.fromhex("07abcdef" + OWN),
        bytes.fromhex("07abcdef" + OWN + "00020000"),
        bytes.fromhex("07abcdef" + OWN + "00020100" + "00" * 256),
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    assert parse_message(data) is None


def test_any_bytes_can_be_parsed() -> None:
    source = random.Random(1)
    for _ in range(20000):
        data = bytearray(REPLY)
        for _ in range(source.randrange(1, 8)):
            data[source.randrange(4, len(data))] = source.randrange(256)
        reply = parse_message(bytes(data[: source.randrange(len(data) + 1)]))
        assert reply is None or all(name.isprintable() for name in reply.search)
