"""Two links with warm leases: one is lost, the other takes over."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.node.lab import Lab, open_lab
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(240)
LIMIT_S = 5.0
SERVICE = """
import socket
server = socket.create_server(("", 7))
while True:
    server.accept()[0].close()
"""
FIRST, SECOND = "10.9.0.", "10.8.0."


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Return a node with two cables, each to a network of its own; both have leases."""
    with open_lab(tmp_path) as lab:
        lab.add_cable("peer1", "wire1", f"{SECOND}1/24")
        for link, net in (("peer", FIRST), ("peer1", SECOND)):
            lab.start_dnsmasq(
                link,
                *(f"--dhcp-range={net}50,{net}50,255.255.255.0,2m", f"--dhcp-option=6,{net}1"),
            )
        lab.start_node()
        wait_until(lambda: len(metrics(lab)) == 2, "two default routes")
        yield lab


@pytest.fixture
def bridged(tmp_path: Path) -> Iterator[Lab]:
    """Return a node with two cables to one network, with a DHCP server and a service."""
    with open_lab(tmp_path) as lab:
        lab.add_cable("peer1", "wire1", f"{SECOND}1/24")
        lab.ip(lab.host, "link", "add", "lan", "type", "bridge")
        for link in ("peer", "peer1"):
            lab.ip(lab.host, "addr", "flush", "dev", link)
            lab.ip(lab.host, "link", "set", link, "master", "lan")
        lab.ip(lab.host, "addr", "add", f"{FIRST}1/24", "dev", "lan")
        lab.ip(lab.host, "link", "set", "lan", "up")
        lab.start_dnsmasq("lan", f"--dhcp-range={FIRST}50,{FIRST}60", f"--dhcp-option=6,{FIRST}1")
        lab.start(lab.host, "service.log", sys.executable, "-c", SERVICE)
        yield lab


def metrics(lab: Lab) -> dict[int, str]:
    """Return the link of each of the node's default routes, by metric."""
    routes = json.loads(lab.ip(lab.node, "-4", "-json", "route", "show", "default"))
    return {route["metric"]: route["dev"] for route in routes}


def chosen(lab: Lab) -> str:
    """Return the link of the best default route."""
    found = metrics(lab)
    return found[min(found)] if found else ""


def take_over_s(lab: Lab, lose: Callable[[], object], other: str) -> float:
    """Lose the chosen link; return after how many seconds `other` is the chosen one."""
    begin = time.monotonic()
    lose()
    wait_until(lambda: chosen(lab) == other, f"{other} takes over")
    return time.monotonic() - begin


def other_of(link: str) -> tuple[str, str, str]:
    """Return the other link, its network, and the host's end of the first one."""
    if link == "wire0":
        return "wire1", SECOND, "peer"
    return "wire0", FIRST, "peer1"


def test_the_cable_is_pulled(lab: Lab) -> None:
    first = chosen(lab)
    other, net, peer = other_of(first)
    seconds = take_over_s(lab, lambda: lab.ip(lab.host, "link", "set", peer, "down"), other)
    assert seconds < LIMIT_S
    wait_until(lambda: f"nameserver {net}1" in lab.resolv_conf.read_text(), "the name server")
    lab.ip(lab.node, "route", "get", f"{net}1")
    assert lab.said().count("trying") == 2  # its lease was warm
    wait_until(lambda: lab.status()["chosen"] == other, "status")
    status = lab.status()
    assert (status["state"], status["name_servers"]) == ("up", [f"{net}1"])
    assert status["default_routes"][0]["link"] == other
    texts = [decision["text"] for decision in status["decisions"]]
    assert any(f"; instead of {first}: the cable is out" in text for text in texts)
    wait_until(lambda: list(metrics(lab).values()) == [other], "the routes of the lost link go")
    lab.ip(lab.host, "link", "set", peer, "up")
    wait_until(lambda: len(metrics(lab)) == 2, "a new lease of the first link")
    assert chosen(lab) == other


def test_the_router_is_silent(lab: Lab) -> None:
    """Its address moves away, so that nothing answers for it; the cable stays."""
    first = chosen(lab)
    other, _, peer = other_of(first)
    seconds = take_over_s(lab, lambda: lab.ip(lab.host, "link", "set", peer, "arp", "off"), other)
    assert seconds < LIMIT_S
    wait_until(lambda: f"{first}: the router does not answer" in lab.said(), "a line about it")
    lab.ip(lab.host, "link", "set", peer, "arp", "on")
    wait_until(lambda: f"{first}: the router answers again" in lab.said(), "a line about it")
    assert chosen(lab) == other
    wait_until(lambda: all(link["router_answers"] for link in lab.status()["links"]), "status")


@pytest.mark.parametrize(
    "words", ["", f"net.address={FIRST}5/24 net.gateway={FIRST}1 net.dns=9.9.9.9"]
)
def test_two_cards_in_one_network(bridged: Lab, words: str) -> None:
    """With one static address, too; new connections work again within the limit."""
    lab = bridged
    lab.start_node(words=words)
    wait_until(lambda: all(link["leases"] for link in lab.status()["links"]), "two leases")
    wait_until(lambda: lab.status()["state"] == "up", "a chosen link")
    assert connects(lab)
    first = chosen(lab)
    other, _, peer = other_of(first)
    begin = time.monotonic()
    lab.ip(lab.host, "link", "set", peer, "down")
    wait_until(lambda: chosen(lab) == other, "the other one takes over")
    wait_until(lambda: connects(lab), "a connection")
    assert time.monotonic() - begin < LIMIT_S
    if words:
        assert lab.addresses(other) == [f"{FIRST}5/24"]
        wait_until(lambda: lab.addresses(first) == [], "one address, one link")


def connects(lab: Lab) -> bool:
    """Return whether the node can make a TCP connection to the host."""
    code = f"import socket; socket.create_connection(({FIRST + '1'!r}, 7), 1)"
    call = ["ip", "netns", "exec", lab.node, sys.executable, "-c", code]
    return subprocess.run(call, capture_output=True, timeout=60, check=False).returncode == 0


def test_a_card_vanishes(lab: Lab) -> None:
    first = chosen(lab)
    other, net, _ = other_of(first)
    seconds = take_over_s(lab, lambda: lab.ip(lab.node, "link", "delete", first), other)
    assert seconds < LIMIT_S
    wait_until(lambda: f"nameserver {net}1" in lab.resolv_conf.read_text(), "the name server")
    wait_until(lambda: len(lab.status()["links"]) == 1, "status")
