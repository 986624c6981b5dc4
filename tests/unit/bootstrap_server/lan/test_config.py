"""dnsmasq's configuration: golden files, and values that can't become another line."""

import dataclasses
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_server.errors import InputError
from bootstrap_server.lan.config import LanConfig, Pool, parse_pool, render_config

HERE = Path(__file__).parent
OWN = IPv4Interface("192.168.7.10/24")
PROXY = LanConfig("eth1", OWN, Path("/run/zos-lan-eth1"), "http://192.168.7.10:8090")
FULL = dataclasses.replace(
    PROXY,
    pool=Pool(IPv4Address("192.168.7.100"), IPv4Address("192.168.7.199")),
    gateway=IPv4Address("192.168.7.1"),
    dns=(IPv4Address("192.168.7.1"), IPv4Address("9.9.9.9")),
)


@pytest.mark.parametrize(("name", "lan"), [("proxy.conf", PROXY), ("full.conf", FULL)])
def test_the_text_is_that_of_the_golden_file(name: str, lan: LanConfig) -> None:
    assert render_config(lan) == (HERE / name).read_text()


def test_without_a_router_or_a_name_server_none_is_named() -> None:
    alone = dataclasses.replace(FULL, gateway=None, dns=())
    lines = render_config(alone).splitlines()
    assert "dhcp-option=option:router" in lines
    assert "dhcp-option=option:dns-server" in lines


@given(name=st.text(max_size=20), url=st.text(max_size=60), folder=st.text(max_size=30))
def test_nothing_typed_can_become_another_line(name: str, url: str, folder: str) -> None:
    count = len(render_config(PROXY).splitlines())
    try:
        lan = LanConfig(name, OWN, Path(f"/run/{folder}"), f"http://{url}")
    except InputError:
        return
    text = render_config(lan)
    assert text.isascii() and text.count("\n") == count
    assert not set('"#,') & set(f"{name}{folder}{url}")


@pytest.mark.parametrize(
    "name", ["", "eth1\nport=53", "eth1,eth2", "-eth1", "a" * 16, "eth 1", "é"]
)
def test_a_name_that_no_interface_has(name: str) -> None:
    with pytest.raises(InputError, match="is not the name of a network interface"):
        dataclasses.replace(PROXY, interface=name)


def test_an_address_that_does_not_fit_a_message() -> None:
    with pytest.raises(InputError, match="more than 127 characters"):
        dataclasses.replace(PROXY, url=f"http://{'a' * 120}")


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("192.168.7.20-192.168.7.30", 20, 30),
        ("192.168.7.20,192.168.7.30", 20, 30),
        (" 192.168.7.20 - 192.168.7.20 ", 20, 20),
        ("", 11, 254),
    ],
)
def test_a_range(text: str, first: int, last: int) -> None:
    pool = parse_pool(text, OWN)
    assert [int(end) & 255 for end in pool] == [first, last]


def test_the_range_is_on_the_larger_side_of_the_own_address() -> None:
    pool = parse_pool("", IPv4Interface("10.0.0.250/24"))
    assert (str(pool.first), str(pool.last)) == ("10.0.0.1", "10.0.0.249")
    assert parse_pool("", IPv4Interface("10.0.0.1/30")) == (IPv4Address("10.0.0.2"),) * 2
    with pytest.raises(InputError, match="no addresses to give away"):
        parse_pool("", IPv4Interface("10.0.0.1/31"))


@pytest.mark.parametrize(
    "text",
    [
        *("192.168.8.1-192.168.8.9", "192.168.7.30-192.168.7.20", "192.168.7.0-192.168.7.9"),
        *("192.168.7.250-192.168.7.255", "192.168.7.1-192.168.7.20", "x", "1-2", "192.168.7.20-"),
        "192.168.7.20-192.168.7.30\nport=53",
    ],
)
def test_what_is_no_range_of_this_network(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_pool(text, OWN)
    assert caught.value.field == "range"
