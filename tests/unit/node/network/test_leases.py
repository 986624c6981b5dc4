"""DHCP leases: parsing, checks, and the choice between them."""

from typing import Any

import pytest

from node.model import NodeError
from node.network.leases import Lease, choose_lease, parse_lease, resolv_conf


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


def test_a_complete_lease_wins_over_an_earlier_incomplete_one() -> None:
    bare, full = lease("eth0"), lease("eth1", **FULL)
    assert choose_lease([bare, full], is_patience_over=False) is full


def test_an_incomplete_lease_is_chosen_only_after_a_while() -> None:
    bare, routed = lease("eth0"), lease("eth1", router=["10.0.2.2"])
    assert choose_lease([bare, routed], is_patience_over=False) is None
    assert choose_lease([bare, routed], is_patience_over=True) is routed
    assert choose_lease([], is_patience_over=True) is None
