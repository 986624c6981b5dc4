"""The file that says what the network is."""

import ipaddress
import json
from pathlib import Path

import pytest

from node.network.leases import Lease, Source
from node.network.machine import Machine
from node.network.plan import Bond, Plan
from node.network.status import MAX_DECISIONS, Status, default_routes
from node.network.table import Assign, Event, Input

SERVERS = ("10.9.0.53",)
LEASE = Lease("none0", ipaddress.IPv4Interface("10.9.0.5/24"), "10.9.0.1", SERVERS, mtu=1400)


def up() -> Machine:
    """Return a machine whose link none0 is the chosen one."""
    machine = Machine(0.0)
    for event in (Event.FOUND, Event.PLUGGED, Event.GRANTED):
        machine.handle(event, "none0", Input(1.0, LEASE if event is Event.GRANTED else None))
    return machine


def test_a_network_that_is_up(tmp_path: Path) -> None:
    place = tmp_path / "zero-os" / "network.json"
    plan = Plan(vlan=5, bond=Bond("802.3ad", ("52:54:00:00:00:01",)), public_vlan=6)
    status = Status(place, plan, ["cannot use net.x: a node knows no such parameter"])
    status.note("up: none0")
    status.write(up())
    found = json.loads(place.read_text())
    (decision,) = found.pop("decisions")
    assert decision["text"] == "up: none0" and decision["time"] > 0
    assert found.pop("time") > 0
    assert found == {
        "format": 1,
        "state": "up",
        "chosen": "none0",
        "links": [
            {
                "name": "none0",
                "mac": "",
                "driver": "no driver",
                "state": "held",
                "carrier": False,
                "mtu": 0,
                "router_answers": True,
                "fault": None,
                "leases": [
                    {
                        "source": "dhcp",
                        "address": "10.9.0.5/24",
                        "router": "10.9.0.1",
                        "name_servers": ["10.9.0.53"],
                        "search": [],
                        "routes": [],
                        "mtu": 1400,
                        "metric": 100,
                    }
                ],
            }
        ],
        "default_routes": [
            {"link": "none0", "router": "10.9.0.1", "version": 4, "metric": 100},
        ],
        "name_servers": ["10.9.0.53"],
        "search": [],
        "proxy": None,
        "vlan": 5,
        "bond": {"mode": "802.3ad", "members": ["52:54:00:00:00:01"]},
        "public": {"vlan": 6, "mac": "random"},
        "parameters_ignored": ["cannot use net.x: a node knows no such parameter"],
    }


def test_a_standby_links_ipv6_route_is_the_kernels() -> None:
    interface = ipaddress.IPv6Interface("2001:db8::5/64")
    lease = Lease("none0", interface, "fe80::1", (), source=Source.ROUTER)
    metrics = [
        route["metric"] for route in default_routes([Assign(lease, 2000), Assign(lease, 100)])
    ]
    assert metrics == [100, 1024]


def test_a_network_that_is_not_up(tmp_path: Path) -> None:
    status = Status(tmp_path / "network.json", Plan())
    status.write(Machine(0.0))
    found = json.loads((tmp_path / "network.json").read_text())
    assert (found["state"], found["chosen"], found["links"]) == ("waiting", None, [])
    assert found["name_servers"] == found["default_routes"] == []


def test_only_the_last_decisions_are_kept_and_only_changes_written(tmp_path: Path) -> None:
    place = tmp_path / "network.json"
    status, machine = Status(place, Plan()), Machine(0.0)
    for number in range(MAX_DECISIONS + 9):
        status.note(f"{number}")
    status.write(machine)
    texts = [one["text"] for one in json.loads(place.read_text())["decisions"]]
    assert texts == [str(number) for number in range(9, MAX_DECISIONS + 9)]
    place.write_text("untouched")
    status.write(machine)
    assert place.read_text() == "untouched"
    status.note("news")
    status.write(machine)
    assert "news" in place.read_text()


def test_a_place_that_takes_no_file_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    status = Status(tmp_path / "file" / "network.json", Plan())
    status.write(Machine(0.0))
    status.write(Machine(0.0))
    assert capsys.readouterr().out.count("cannot write") == 1
