"""The node's DHCP client against dnsmasq, and against a server that misbehaves."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.node.lab import QUICK, Lab, open_lab
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(240)
ROUTED = {"1": "ffffff00", "3": "0a090001", "6": "0a090001"}
ADDRESS = ["10.9.0.50/24"]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Return two namespaces with a cable between them."""
    with open_lab(tmp_path) as lab:
        yield lab


def test_everything_that_dnsmasq_offers(lab: Lab) -> None:
    lab.start_dnsmasq(
        "peer",
        "--dhcp-range=10.9.0.50,10.9.0.50,255.255.255.0,2m",
        *("--dhcp-option=3,10.9.0.99", "--dhcp-option=6,10.9.0.1", "--dhcp-option=26,1400"),
        *("--dhcp-option=15,lab.example", "--dhcp-option=119,eng.example.com,ops.example.com"),
        "--dhcp-option=121,0.0.0.0/0,10.9.0.1,10.77.0.0/16,10.9.0.9",
    )
    node = lab.start_node()
    wait_until(lambda: "up: wire0" in lab.said(), "a lease")
    assert lab.addresses() == ADDRESS
    assert lab.routes() == {"default": "10.9.0.1", "10.77.0.0/16": "10.9.0.9", "10.9.0.0/24": ""}
    assert lab.mtu() == 1400
    assert lab.resolv_conf.read_text().splitlines()[1:] == [
        "search eng.example.com ops.example.com",
        "nameserver 10.9.0.1",
    ]
    node.send_signal(signal.SIGTERM)
    assert node.wait(30) == 0
    wait_until(lambda: "DHCPRELEASE" in (lab.folder / "dnsmasq.log").read_text(), "a release")
    assert lab.addresses() == []


SOON = """
from node.network.dhcp import machine
machine.SHORTEST_RENEWAL_S = 1000  # more than dnsmasq says, so the shares count
machine.RENEWAL_SHARE = 0.01
"""


def test_dnsmasq_extends_a_lease(lab: Lab) -> None:
    lab.start_dnsmasq("peer", "--dhcp-range=10.9.0.50,10.9.0.50,255.255.255.0,2m")

    def extensions() -> int:
        return (lab.folder / "dnsmasq.log").read_text().count("DHCPACK(peer) 10.9.0.50")

    lab.start_node(SOON)
    wait_until(lambda: extensions() >= 4, "three extensions")
    assert (lab.folder / "dnsmasq.log").read_text().count("DHCPDISCOVER(") == 1
    assert lab.said().count("up: wire0") <= 1
    assert "again in" not in lab.said()


def test_every_loss_of_a_lease_takes_the_address_and_the_next_one_brings_it_back(lab: Lab) -> None:
    options = {**ROUTED, "58": "00000002", "59": "00000004"}
    server = lab.serve(seconds=6, options=options)
    node = lab.start_node(QUICK)
    pid = find_server(server.pid)
    for losses in (1, 2, 3):
        wait_until(lambda: lab.addresses() == ADDRESS, "the address")
        os.kill(pid, signal.SIGUSR1)
        wait_until(lambda: lab.addresses() == [], "no address")
        wait_until(lambda n=losses: lab.said().count("has run out") == n, "a line about it")  # type: ignore[misc]
        os.kill(pid, signal.SIGUSR1)
    wait_until(lambda: lab.addresses() == ADDRESS, "the address")
    lab.ip(lab.host, "link", "set", "peer", "down")
    wait_until(lambda: "the cable is out" in lab.said() or lab.addresses() == [], "no cable")
    lab.ip(lab.host, "link", "set", "peer", "up")
    wait_until(lambda: lab.addresses() == ADDRESS, "the address")
    assert node.poll() is None
    assert "Traceback" not in lab.said() and "NoneType" not in lab.said()


def find_server(pid: int) -> int:
    """Return the pid of the server once it has started: `ip netns exec` becomes the program."""
    wait_until(lambda: b"dhcpd.py" in Path(f"/proc/{pid}/cmdline").read_bytes(), "the server")
    wait_until(lambda: has_handler(pid), "the server's signal handler")
    return pid


def has_handler(pid: int) -> bool:
    """Return whether a process handles SIGUSR1."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(line.split()[1] for line in lines if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (signal.SIGUSR1 - 1) & 1)


def test_a_server_that_refuses_is_asked_less_and_less_often(lab: Lab) -> None:
    lab.serve(options=ROUTED, answers={"request": ["nak"]})
    lab.start_node()
    wait_until(lambda: lab.said().count("server 10.9.0.1 refuses; again in") >= 3, "refusals")
    begin, before = time.monotonic(), len(lab.asked())
    wait_until(lambda: lab.said().count("refuses") >= 5, "two more refusals")
    rate = (len(lab.asked()) - before) / (time.monotonic() - begin)
    assert rate < 2
    assert lab.addresses() == []


def test_a_refusal_that_ends_is_forgotten(lab: Lab) -> None:
    lab.serve(options=ROUTED, answers={"request": ["nak", "nak", "ack"]})
    lab.start_node(QUICK)
    wait_until(lambda: lab.addresses() == ADDRESS, "the address")
    assert lab.said().count("refuses") == 2


def test_a_flood_of_foreign_messages_does_not_matter(lab: Lab) -> None:
    lab.serve(options=ROUTED, answers={"discover": ["flood", "offer"]})
    lab.start_node()
    wait_until(lambda: lab.addresses() == ADDRESS, "the address")


def test_options_with_nonsense_are_left_out(lab: Lab) -> None:
    lab.serve(seconds=6, options={**ROUTED, "26": "0044", "15": "0a0a", "121": "ff"})
    lab.start_node()
    wait_until(lambda: "up: wire0" in lab.said(), "a lease")
    assert lab.addresses() == ADDRESS
    assert lab.mtu() == 1500
    assert "search" not in lab.resolv_conf.read_text()
    assert lab.routes()["default"] == "10.9.0.1"


def test_the_service_asks_for_what_it_uses(lab: Lab) -> None:
    lab.serve(options=ROUTED)
    lab.start_node()
    wait_until(lambda: lab.addresses() == ADDRESS, "the address")
    assert {1, 3, 6, 15, 26, 119, 121} <= set(lab.asked()[0]["wanted"])


def test_a_disk_that_takes_no_file_does_not_cost_the_network(lab: Lab) -> None:
    lab.resolv_conf = lab.folder / "missing" / "resolv.conf"
    lab.serve(options=ROUTED)
    lab.start_node()
    wait_until(lambda: "cannot write the name servers" in lab.said(), "it is said")
    wait_until(lambda: "default" in lab.routes(), "the network is up")
    lab.resolv_conf.parent.mkdir()
    wait_until(lab.resolv_conf.exists, "it is written later")
    assert lab.said().count("cannot write the name servers") == 1
    assert lab.said().count("up: ") == 1
