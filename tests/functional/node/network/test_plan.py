"""Static addresses, IPv6 and the choice of a card, in namespaces; a VLAN is in tests/vm."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.node.lab import QUICK, Lab, open_lab
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(240)
STATIC = "net.address=10.9.0.5/24 net.gateway=10.9.0.1 net.dns=10.9.0.2,10.9.0.3"
SIX = "2001:db8:9::1/64"
SHORT = {"1": "ffffff00", "58": "00000001", "59": "00000003"}  # extended each second


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Return two namespaces with a cable between them."""
    with open_lab(tmp_path) as lab:
        yield lab


def mac(lab: Lab) -> str:
    """Return the MAC address of the node's card."""
    links = json.loads(lab.ip(lab.node, "-json", "link", "show", "wire0"))
    return str(links[0]["address"])


def advertise(lab: Lab) -> None:
    """Make the host a router that advertises itself."""
    lab.ip(lab.host, "addr", "add", SIX, "dev", "peer", "nodad")
    lab.start_dnsmasq("peer", "--enable-ra", "--dhcp-range=2001:db8:9::,ra-only,64,10m")


def wait_for_extensions(lab: Lab) -> None:
    """Wait until the DHCP server has extended its lease twice."""
    before = len(lab.asked())
    wait_until(lambda: len(lab.asked()) > before + 2, "extensions of the lease")


def test_a_static_address_takes_the_place_of_a_lease(lab: Lab) -> None:
    node = lab.start_node(QUICK, words=STATIC)
    wait_until(lambda: "up: wire0" in lab.said(), "the address")
    assert lab.addresses() == ["10.9.0.5/24"]
    assert lab.routes() == {"default": "10.9.0.1", "10.9.0.0/24": ""}
    assert lab.resolv_conf.read_text().splitlines()[1:] == [
        "nameserver 10.9.0.2",
        "nameserver 10.9.0.3",
    ]
    lab.ip(lab.host, "link", "set", "peer", "down")
    wait_until(lambda: lab.addresses() == [], "no address without a cable")
    assert "the cable is out" in lab.said()
    lab.ip(lab.host, "link", "set", "peer", "up")
    wait_until(lambda: lab.addresses() == ["10.9.0.5/24"], "the address")
    node.send_signal(signal.SIGTERM)
    assert node.wait(30) == 0
    assert lab.addresses() == []


def test_a_static_ipv6_address(lab: Lab) -> None:
    words = "net.address=2001:db8:9::5/64 net.gateway=2001:db8:9::1 net.dns=2001:db8::53"
    node = lab.start_node(words=words)
    wait_until(lambda: "up: wire0" in lab.said(), "the address")
    assert lab.addresses(version="-6") == ["2001:db8:9::5/64"]
    assert lab.routes("-6")["default"] == "2001:db8:9::1"
    assert "nameserver 2001:db8::53" in lab.resolv_conf.read_text()
    node.send_signal(signal.SIGTERM)
    assert node.wait(30) == 0
    assert lab.addresses(version="-6") == []
    assert "default" not in lab.routes("-6")


def test_a_static_address_goes_to_the_card_where_its_router_answers(lab: Lab) -> None:
    lab.ip(lab.node, "link", "add", "dead0", "type", "veth", "peer", "name", "dead1")
    lab.ip(lab.node, "link", "set", "dead1", "up")
    lab.start_node(words=STATIC)
    wait_until(lambda: "up: " in lab.said(), "the address")
    assert "trying dead0" in lab.said()
    assert (lab.addresses(), lab.addresses("dead0")) == (["10.9.0.5/24"], [])


def test_a_router_that_is_silent_does_not_cost_the_address(lab: Lab) -> None:
    lab.start_node(QUICK, words=STATIC.replace("10.9.0.1 ", "10.9.0.99 "))
    wait_until(lambda: "up: wire0" in lab.said(), "the address")
    assert lab.addresses() == ["10.9.0.5/24"]


def test_the_chosen_card_is_used(lab: Lab) -> None:
    lab.start_node(words=f"{STATIC} net.interface={mac(lab)}")
    wait_until(lambda: lab.addresses() == ["10.9.0.5/24"], "the address")
    assert "no card has" not in lab.said()


def test_a_card_that_is_not_there_does_not_cost_the_node(lab: Lab) -> None:
    code = "from node.network import cards\ncards.ABSENT_S = 1.0\n"
    lab.start_node(code, words=f"{STATIC} net.interface=02:00:00:00:00:99 vlan:priv=x")
    wait_until(lambda: lab.addresses() == ["10.9.0.5/24"], "the address")
    assert "no card has the MAC address 02:00:00:00:00:99: trying every card" in lab.said()
    assert "cannot use vlan:priv=x" in lab.said()


def test_a_bond_and_the_cards_alone_where_the_kernel_makes_none(lab: Lab) -> None:
    """What a bond does when a cable is pulled is in tests/vm."""
    lab.start_node(words=f"{STATIC} net.bond=active-backup")
    wait_until(lambda: "up: " in lab.said(), "the address")
    has_bond = "cannot make the bond of wire0: " not in lab.said()
    assert lab.addresses("bond0" if has_bond else "wire0") == ["10.9.0.5/24"]


def test_a_network_with_ipv6_only_and_a_dhcp_server_that_comes_later(lab: Lab) -> None:
    lab.ip(lab.host, "addr", "add", SIX, "dev", "peer", "nodad")
    lab.start_dnsmasq(
        "peer",
        *("--enable-ra", "--dhcp-range=2001:db8:9::,ra-only,64,10m"),
        "--dhcp-option=option6:dns-server,[2001:db8:9::53]",
    )
    lab.start_node(QUICK, words="net.ipv6=auto")
    wait_until(lambda: "up: wire0: 2001:db8:9:" in lab.said(), "an address")
    assert lab.routes("-6")["default"].startswith("fe80::")
    assert "nameserver 2001:db8:9::53" in lab.resolv_conf.read_text()
    lab.serve(options={"1": "ffffff00", "3": "0a090001", "6": "0a090002"})
    wait_until(lambda: lab.addresses() == ["10.9.0.50/24"], "a lease")
    assert "no router advertises" not in lab.said()
    assert lab.addresses(version="-6") != []


def test_ipv6_can_be_switched_off(lab: Lab) -> None:
    advertise(lab)
    lab.start_node(words=f"{STATIC} net.ipv6=off")
    wait_until(lambda: lab.addresses() == ["10.9.0.5/24"], "the address")
    assert json.loads(lab.ip(lab.node, "-6", "-json", "addr", "show", "dev", "wire0")) in ([], [{}])


def test_a_lease_without_a_router_does_not_replace_what_a_router_advertises(lab: Lab) -> None:
    advertise(lab)
    lab.start_node(QUICK)
    wait_until(lambda: "up: wire0: 2001:db8:9:" in lab.said(), "an address")
    lab.serve(seconds=6, options=SHORT)
    wait_until(lambda: "request" in [message["kind"] for message in lab.asked()], "a lease")
    wait_for_extensions(lab)
    assert "up: wire0: 10.9.0.50" not in lab.said()
    assert lab.addresses() == []


def test_a_router_that_advertises_late_replaces_a_lease_without_one(lab: Lab) -> None:
    lab.serve(seconds=6, options=SHORT)
    lab.start_node(QUICK)
    wait_until(lambda: "up: wire0: 10.9.0.50" in lab.said(), "a lease")
    advertise(lab)
    wait_until(lambda: "up: wire0: 2001:db8:9:" in lab.said(), "an address")
    assert lab.addresses() == []
    wait_for_extensions(lab)
    assert lab.said().count("up: ") == 2
