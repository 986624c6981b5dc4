"""Which link is chosen, with upstream's choices as far as ours are the same."""

import ipaddress
import json

from node.network.choice import PATIENCE_S, pick
from node.network.leases import Lease, Source
from node.network.table import Link, State
from tests.helpers.samples import samples_dir

HELD_AT = 100.0


def link(name: str, address: str, router: str, *, servers: bool = True) -> Link:
    """Return a link that has held a lease since `HELD_AT`."""
    names = ("10.0.0.53",) if servers else ()
    lease = Lease(name, ipaddress.IPv4Interface(address), router, names)
    return Link(name, 0, State.HELD, {Source.DHCP: lease}, HELD_AT)


def chosen(links: list[Link], *, is_patience_over: bool) -> str:
    """Return the name of the link that is picked, "" for none."""
    found = pick(links, HELD_AT + (PATIENCE_S if is_patience_over else 0.0))
    return found.name if found else ""


def test_a_complete_lease_wins_over_an_earlier_incomplete_one() -> None:
    links = [
        link("eth0", "10.0.0.5/24", "", servers=False),
        link("eth1", "10.0.0.6/24", "10.0.0.1"),
    ]
    assert chosen(links, is_patience_over=False) == "eth1"


def test_an_incomplete_lease_is_chosen_only_after_a_while() -> None:
    bare = link("eth0", "10.0.0.5/24", "", servers=False)
    routed = link("eth1", "10.0.0.6/24", "10.0.0.1", servers=False)
    assert chosen([bare, routed], is_patience_over=False) == ""
    assert chosen([bare, routed], is_patience_over=True) == "eth1"
    assert chosen([], is_patience_over=True) == ""


def test_equal_links_are_ordered_as_upstream_does() -> None:
    """By design, an address without a router is used in the end: upstream gives up."""
    cases = json.loads((samples_dir() / "capacity" / "node.json").read_text())["select_zos_nic"]
    for case in cases:
        links = [link(name, address, router) for name, address, router in case["interfaces"]]
        routed = [one for one in links if one.best and one.best.router]
        assert chosen(routed, is_patience_over=True) == case["chosen"], case
