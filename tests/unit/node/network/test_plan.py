"""The network's words of the kernel command line."""

import ipaddress
from pathlib import Path

import pytest

from node.cmdline import parse_words
from node.network.leases import Lease, Source
from node.network.plan import Bond, Plan, parse_plan
from node.network.slaac import find_automatic


def parse(text: str) -> tuple[Plan, list[str]]:
    """Return a command line's plan, and what was told about it."""
    told: list[str] = []
    return parse_plan(parse_words(text), told.append), told


def test_without_words_every_card_is_tried_by_dhcp() -> None:
    plan, told = parse("runmode=dev console=ttyS0")
    assert (plan, told) == (Plan(), [])
    assert plan.static_lease("eth0") is None


def test_all_words() -> None:
    plan, told = parse(
        "net.interface=52-54-00-12-34-AB net.address=10.9.0.5/24 net.gateway=10.9.0.1 "
        "net.dns=10.9.0.2,2001:db8::53 net.ipv6=off vlan:priv=5"
    )
    address = ipaddress.IPv4Interface("10.9.0.5/24")
    servers = ("10.9.0.2", "2001:db8::53")
    assert told == []
    assert plan == Plan("52:54:00:12:34:ab", address, "10.9.0.1", servers, 5, is_ipv6_off=True)
    lease = plan.static_lease("eth0.5")
    assert lease == Lease("eth0.5", address, "10.9.0.1", servers, source=Source.STATIC)
    assert lease.is_complete


def test_the_words_for_a_bond_the_mtu_and_the_public_network() -> None:
    plan, told = parse(
        "net.bond=802.3ad,52:54:00:00:00:01,52-54-00-00-00-0A,52:54:00:00:00:01 net.mtu=1400 "
        "vlan:pub=6 pub:mac=swap net.proxy=http://proxy:3128"
    )
    assert told == []
    bond = Bond("802.3ad", ("52:54:00:00:00:01", "52:54:00:00:00:0a"))
    assert plan == Plan(
        mtu=1400, bond=bond, public_vlan=6, public_mac="swap", proxy="http://proxy:3128"
    )


def test_one_card_is_no_bond() -> None:
    plan, told = parse("net.interface=52:54:00:00:00:01 net.bond=active-backup")
    assert plan == Plan("52:54:00:00:00:01")
    (line,) = told
    why = "net.interface names the only card to use; no bond is made"
    assert line == f"cannot use net.bond=active-backup: {why}"


def test_an_ipv6_address() -> None:
    plan, told = parse("net.address=2001:db8::5/64 net.gateway=fe80::1 net.ipv6=auto")
    assert told == []
    assert (str(plan.address), plan.gateway) == ("2001:db8::5/64", "fe80::1")


@pytest.mark.parametrize("word", ["none", "untagged", "un"])
def test_upstreams_words_for_no_vlan(word: str) -> None:
    assert parse(f"vlan:priv={word}") == (Plan(), [])


@pytest.mark.parametrize(
    "word",
    [
        "net.interface=eth0",
        "net.interface=52:54:00:12:34",
        "net.address=10.9.0.5",
        "net.address=10.9.0.5/33",
        "net.address=127.0.0.1/8",
        "net.address=0.0.0.0/0",
        "net.address=10.9.0.5/0",
        "net.address=::/0",
        "net.gateway=10.9.0.1",
        "net.dns=10.9.0.1,dns.example.com",
        "net.dns=224.0.0.1",
        "net.ipv6=on",
        "net.mtu=575",
        "net.mtu=10000",
        "net.mtu=large",
        "net.bond=balance-rr",
        "net.bond=active-backup,eth0",
        "vlan:pub=0",
        "pub:mac=mine",
        "vlan:priv=0",
        "vlan:priv=4095",
        "vlan:priv=٣",
        "vlan:priv=five",
    ],
)
def test_a_bad_word_is_told_and_left_out(word: str) -> None:
    plan, told = parse(word)
    assert plan == Plan()
    (line,) = told
    assert line.startswith(f"cannot use {word}: ") and ";" in line


@pytest.mark.parametrize("gateway", ["10.9.0.5", "fe80::1", "127.0.0.1", "router"])
def test_a_bad_gateway_does_not_cost_the_address(gateway: str) -> None:
    plan, told = parse(f"net.address=10.9.0.5/24 net.gateway={gateway}")
    assert str(plan.address) == "10.9.0.5/24" and plan.gateway == ""
    assert len(told) == 1


ROUTER = "fe800000000000000000000000000001"
ADDRESSES = """\
20010db8000000000000000000000005 02 40 00 40     eth0
20010db8000000000000000000000006 02 40 00 00     eth0
fe800000000000005054000000000001 02 40 20 80     eth0
20010db8000000000000000000000007 03 40 00 20     eth1
"""
ROUTES = f"""\
{"0" * 32} 00 {"0" * 32} 00 {"0" * 32} ffffffff 00000001 00000000 00200200       lo
{"0" * 32} 00 {"0" * 32} 00 {ROUTER} 00000400 00000001 00000000 00450003     eth0
{"0" * 32} 00 {"0" * 32} 00 {ROUTER} 00000400 00000001 00000000 00450003     eth1
"""


def test_what_the_kernel_has_made_of_advertisements(tmp_path: Path) -> None:
    addresses, routes = tmp_path / "if_inet6", tmp_path / "ipv6_route"
    addresses.write_text(ADDRESSES)
    assert find_automatic("eth0", (), addresses, routes) is None  # no router
    routes.write_text(ROUTES)
    lease = find_automatic("eth0", ("2001:db8::53",), addresses, routes)
    assert lease is not None and lease.is_complete
    assert str(lease) == "eth0: 2001:db8::6/64, router fe80::1, dns 2001:db8::53"
    assert find_automatic("eth1", (), addresses, routes) is None  # its address is deprecated
    own = {ipaddress.IPv6Address("2001:db8::6")}
    assert find_automatic("eth0", (), addresses, routes, own) is None  # set by the node itself
