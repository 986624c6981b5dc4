"""DHCP leases: parsing, checks, and the choice between them."""

from typing import Any

import pytest

from node.model import NodeError
from node.network.leases import Lease, parse_lease, resolv_conf


def ack(**options: Any) -> dict[str, Any]:
    """Return a decoded DHCPACK for 10.0.2.15."""
    return {"yiaddr": "10.0.2.15", "options": {"subnet_mask": "255.255.255.0", **options}}


def lease(link: str, **options: Any) -> Lease:
    """Return the lease of an offer on `link`."""
    return parse_lease(link, ack(**options))


FULL = {"router": ["10.0.2.2"], "name_server": ["10.0.2.3"]}


def test_a_complete_lease() -> None:
    got = lease("eth0", **FULL)
    assert str(got) == "eth0: 10.0.2.15/24, router 10.0.2.2, dns 10.0.2.3"
    assert got.is_complete


def test_resolv_conf_has_at_most_three_servers() -> None:
    got = lease("eth0", router=["10.0.2.2"], name_server=[f"10.0.2.{n}" for n in range(3, 9)])
    servers = [line for line in resolv_conf(got).splitlines() if line.startswith("nameserver")]
    assert servers == ["nameserver 10.0.2.3", "nameserver 10.0.2.4", "nameserver 10.0.2.5"]


@pytest.mark.parametrize(
    "options",
    [
        {"router": ["10.0.2.2; reboot"]},
        {"name_server": ["10.0.2.3\nsearch evil"]},
        {"subnet_mask": "255.0.255.0"},
        {"subnet_mask": "0.0.0.0"},
        {"router": ["127.0.0.1"]},
    ],
)
def test_an_invalid_option_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(NodeError, match="cannot use the lease offered on eth0"):
        lease("eth0", **options)


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "nonsense"])
def test_an_address_that_no_host_can_have(address: str) -> None:
    with pytest.raises(NodeError):
        parse_lease("eth0", {**ack(), "yiaddr": address})


def test_classless_routes_replace_the_router() -> None:
    routes = [("10.1.0.0/16", "10.0.2.9"), ("0.0.0.0/0", "10.0.2.1"), ("10.0.9.1/32", "0.0.0.0")]
    got = lease("eth0", **FULL, classless_routes=routes)
    assert got.router == "10.0.2.1"
    assert [str(route) for route in got.routes] == ["10.1.0.0/16 via 10.0.2.9", "10.0.9.1/32"]
    assert lease("eth0", **FULL, classless_routes=[("10.1.0.0/16", "10.0.2.9")]).router == ""


@pytest.mark.parametrize(
    "route",
    [("127.0.0.0/8", "10.0.2.9"), ("10.1.0.0/16", "127.0.0.1"), ("224.0.0.0/4", "10.0.2.9")],
)
def test_a_route_that_leads_nowhere_is_refused(route: tuple[str, str]) -> None:
    with pytest.raises(NodeError, match="cannot use the lease offered on eth0"):
        lease("eth0", classless_routes=[route])


def test_the_search_list_wins_over_the_domain() -> None:
    got = lease(
        "eth0", **FULL, domain_name=["lab.example"], domain_search=["a.example", "b.example"]
    )
    assert "search a.example b.example\n" in resolv_conf(got)
    got = lease("eth0", **FULL, domain_name=["lab.example"])
    assert "search lab.example\n" in resolv_conf(got)
    assert "search" not in resolv_conf(lease("eth0", **FULL))


@pytest.mark.parametrize(("mtu", "used"), [(1400, 1400), (9000, 9000), (68, 0), (0, 0)])
def test_an_mtu_that_would_hinder_the_node_is_ignored(mtu: int, used: int) -> None:
    assert lease("eth0", mtu=mtu).mtu == used
