"""Which network interfaces are shown."""

from core.capacity.links import Link, choose_interfaces
from core.capacity.model import Interface

ETH0 = Link("eth0", "52:54:00:00:00:01")
ETH1 = Link("eth1", "52:54:00:00:00:02")


def test_every_card_is_shown_and_what_is_made_of_cards_if_it_has_an_address() -> None:
    links = [
        ETH1,
        ETH0,
        Link("bond0", "52:54:00:00:00:01", is_card=False, kind="bond"),
        Link("eth0.5", "52:54:00:00:00:01", is_card=False, kind="vlan"),
        Link("br0", "0e:00:00:00:00:01", is_card=False, kind="bridge"),
        Link("veth1", "0e:00:00:00:00:02", is_card=False),
        Link("lo", "00:00:00:00:00:00", family=772, is_card=False),
        Link("wg0", "", family=65534, is_card=False, kind="wireguard"),
    ]
    addresses = {
        "lo": ["127.0.0.1", "::1"],
        "bond0": ["192.168.1.7", "2001:db8::7", "fe80::1%bond0"],
        "eth0": ["fe80::1%eth0", "169.254.3.4"],
        "br0": ["fe80::2"],
        "veth1": ["10.9.0.1"],
        "wg0": ["100.64.0.1"],
    }
    assert choose_interfaces(links, addresses) == [
        Interface("bond0", "52:54:00:00:00:01", ("192.168.1.7", "2001:db8::7")),
        Interface("eth0", "52:54:00:00:00:01"),
        Interface("eth1", "52:54:00:00:00:02"),
    ]


def test_what_is_no_address_is_left_out() -> None:
    assert choose_interfaces([ETH0], {"eth0": ["02:00:00:00:00:01", ""]}) == [
        Interface("eth0", "52:54:00:00:00:01")
    ]
