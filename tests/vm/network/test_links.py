"""A node with several cards: another one takes over, bonds, and what status says of them."""

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from flist.hub.app import create_app
from image.model import Release
from qemu.machine import QemuMachine
from qemu.model import Nic
from qemu.network import Network
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.vm.node import BOOT_S, boot_node
from tests.helpers.waiting import wait_until
from zero_os.boot.hub import LocalHub

pytestmark = [pytest.mark.vm, pytest.mark.matrix, pytest.mark.timeout(1800)]
MACS = ("52:54:00:0a:00:01", "52:54:00:0a:00:02")
LIMIT_S = 5.0
READY_S = 600
LOG = "/run/connections"
# Makes a new TCP connection again and again, and notes the node's own time of each that works.
CONNECT = """
import os, socket, sys, time
if os.fork() == 0:
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    with open({log!r}, "a", buffering=1) as log:
        while True:
            try:
                socket.create_connection(("10.0.2.2", {port}), 0.3).close()
                print(time.monotonic(), file=log)
            except OSError:
                pass
            time.sleep(0.05)
"""


@pytest.fixture
def port(hub: LocalHub) -> Iterator[int]:
    """Serve the hub; yield its port."""
    listener = open_listener("127.0.0.1", 0)
    with serve_in_thread(create_app(hub.root), listener):
        yield listener.getsockname()[1]


def status(machine: QemuMachine) -> dict[str, Any]:
    """Return what the node says of its network."""
    found: dict[str, Any] = json.loads(machine.guest.read_file("/run/zero-os/network.json"))
    return found


def moments(machine: QemuMachine) -> list[float]:
    """Return when connections worked."""
    lines = machine.guest.read_file(LOG).split(b"\n")[:-1]
    return [float(line) for line in lines]


def pull(machine: QemuMachine, number: int) -> float:
    """Pull the cable of a card; return the node's own time just before."""
    now = float(machine.guest.python("import time; print(time.monotonic())"))
    machine.qmp("set_link", name=f"nic{number}", up=False)
    return now


def take_over_s(machine: QemuMachine, number: int) -> float:
    """Pull the cable of a card; return for how many seconds no new connection could be made."""
    wait_until(lambda: len(moments(machine)) > 5, "connections", BOOT_S)
    begin = pull(machine, number)
    wait_until(lambda: moments(machine)[-1] > begin + LIMIT_S + 1, "connections again", BOOT_S)
    times = [at for at in moments(machine) if at > begin - 1]
    return max(later - at for at, later in itertools.pairwise(times))


def number_of(machine: QemuMachine, link: str) -> int:
    """Return the number of the machine's card that is called `link`."""
    path = f"/sys/class/net/{link}/address"
    return MACS.index(machine.guest.read_file(path).decode().strip())


def connect(machine: QemuMachine, port: int) -> None:
    """Have the node make connections to this host."""
    machine.guest.python(CONNECT.format(log=LOG, port=port))


def test_the_cable_of_the_chosen_card_is_pulled(
    release: Release, port: int, artefacts: Path
) -> None:
    with ExitStack() as stack:
        words = f"runmode=dev farmer_id=1 hub=http://10.0.2.2:{port} net.mtoo=1"
        nics = tuple(Nic(mac=mac) for mac in MACS)
        machine = stack.enter_context(
            boot_node(release, artefacts, append=words, nics=nics, has_agent=True)
        )
        machine.wait_for_console_text("cannot use net.mtoo=1: a node knows no such", BOOT_S)
        machine.wait_for_console_text("bringup: node ready", READY_S)
        machine.guest.wait_until_ready(BOOT_S)
        wait_until(lambda: all(link["leases"] for link in status(machine)["links"]), "leases", 60)
        first = status(machine)["chosen"]
        connect(machine, port)
        assert take_over_s(machine, number_of(machine, first)) < LIMIT_S
        said = status(machine)
        assert said["state"] == "up" and said["chosen"] != first
        assert said["parameters_ignored"][0].startswith("cannot use net.mtoo=1")
        up = re.compile(rf"up: eth\d: 10\.0\.2\.15/24.*; instead of {first}: the cable is out")
        machine.wait_for_console_text(up, BOOT_S)


def test_a_bond_whose_active_card_loses_its_cable(
    release: Release, port: int, artefacts: Path
) -> None:
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        nics = tuple(Nic(network=network, mac=mac) for mac in MACS)
        words = f"runmode=dev farmer_id=1 hub=http://10.0.2.2:{port} net.bond=active-backup"
        machine = stack.enter_context(
            boot_node(release, artefacts, append=words, nics=nics, has_agent=True)
        )
        machine.wait_for_console_text("up: bond0: 10.0.2.15/24", BOOT_S)
        machine.wait_for_console_text("bringup: node ready", READY_S)
        machine.guest.wait_until_ready(BOOT_S)
        connect(machine, port)
        assert take_over_s(machine, active_card(machine)) < LIMIT_S
        assert status(machine)["chosen"] == "bond0"
        assert status(machine)["bond"] == {"mode": "active-backup", "members": []}


def active_card(machine: QemuMachine) -> int:
    """Return the number of the card that a bond uses."""
    text = machine.guest.read_file("/proc/net/bonding/bond0").decode()
    active = re.search(r"Currently Active Slave: (\S+)", text)
    assert active is not None
    found = re.search(
        rf"Slave Interface: {active[1]}\n.*?Permanent HW addr: (\S+)", text, re.DOTALL
    )
    assert found is not None
    return MACS.index(found[1])


def test_a_bond_by_lacp(release: Release, port: int, artefacts: Path) -> None:
    """The switch knows no LACP, so only one card is used, and none in its place.

    The cards are not virtio's: those tell no speed, without which LACP leaves them alone.
    """
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        nics = tuple(Nic("e1000e", network=network, mac=mac) for mac in MACS)
        words = f"runmode=dev farmer_id=1 hub=http://10.0.2.2:{port} net.bond=802.3ad"
        machine = stack.enter_context(
            boot_node(release, artefacts, append=words, nics=nics, has_agent=True)
        )
        machine.wait_for_console_text("up: bond0: 10.0.2.15/24", BOOT_S)
        machine.guest.wait_until_ready(BOOT_S)
        bonding = machine.guest.read_file("/proc/net/bonding/bond0").decode()
        assert "Bonding Mode: IEEE 802.3ad Dynamic link aggregation" in bonding
        assert bonding.count("Slave Interface: eth") == 2
        assert "LACP rate: fast" in bonding
