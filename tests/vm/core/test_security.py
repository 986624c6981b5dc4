"""What runs on a node with which rights, and what listens: exactly the list of docs/security.md."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from core.sandbox.status import capabilities_of
from flist.hub.app import create_app
from image.model import Release
from qemu.machine import QemuMachine
from qemu.model import Nic
from qemu.network import Network
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.core.published import (
    Published,
    read_devices,
    read_published,
    read_root_ports,
    read_root_sockets,
)
from tests.helpers.vm.node import boot_node
from tests.helpers.vm.rights import LOOK, SCAN, SCAN_UDP
from tests.helpers.waiting import wait_until
from zero_os.boot.hub import LocalHub
from zero_os.boot.node import REDIS_PORT

pytestmark = [pytest.mark.vm, pytest.mark.matrix, pytest.mark.timeout(1800)]

BOOT_S = 600
MACS = ("52:54:00:0c:00:01", "52:54:00:0c:00:02")
# What systems often have open: DNS, DHCP, TFTP, portmap, NTP, NetBIOS, SNMP, IKE, syslog, DHCPv6,
# SSDP, IPsec, mDNS, LLMNR, WireGuard, and traceroute's, where nobody ever listens.
UDP_PORTS = [53, 67, 68, 69, 111, 123, 137, 161, 500, 514, 546, 547, 1900, 4500, 5353, 5355]
UDP_PORTS += [33434, 51820]
# Prints the address from which this machine reaches its network.
ADDRESS = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    try:
        one.connect(("10.0.2.2", 9))
        print(one.getsockname()[0])
    except OSError:
        pass
"""
ROWS = read_published()
PORTS = {port for row in ROWS.values() for port in row.ports}
WORKLOAD_PORTS = {("tcp", REDIS_PORT)}
OPEN_FOLDERS = ["/dev/shm", "/tmp"]
DAEMONS = {name: row for name, row in ROWS.items() if row.user}


@contextmanager
def boot_core(release: Release, hub: LocalHub, folder: Path, nic: Nic) -> Iterator[QemuMachine]:
    """Boot a node that has Core-0 and the workload; yield it once both are ready."""
    listener = open_listener("127.0.0.1", 0)
    words = f"runmode=dev farmer_id=1 hub=http://10.0.2.2:{listener.getsockname()[1]}"
    with (
        serve_in_thread(create_app(hub.root), listener),
        boot_node(release, folder, append=words, nics=(nic,), has_agent=True) as machine,
    ):
        machine.wait_for_console_text("bringup: node ready", timeout_s=BOOT_S)
        machine.wait_for_console_text("bringup: core ready", timeout_s=BOOT_S)
        yield machine


def test_a_node_is_what_is_published(release: Release, core_hub: LocalHub, artefacts: Path) -> None:
    with boot_core(release, core_hub, artefacts, Nic()) as machine:
        found = json.loads(machine.guest.python(LOOK, timeout_s=180))
    (artefacts / "rights.json").write_text(json.dumps(found, indent=1))
    assert sorted(found["services"]) == sorted(DAEMONS)
    for name, row in DAEMONS.items():
        check_process(name, row, found["services"][name])
    users = {row.user for row in DAEMONS.values()}
    assert {int(user) for user in found["users"]} == users | {0}  # the workload runs as root
    check_ports(found["ports"])
    sockets = {path for row in ROWS.values() for path in row.sockets}
    listening = {re.sub(r"\d+$", "PID", name) for name in found["sockets"]}
    assert listening == sockets | read_root_sockets()
    assert found["setuid"] == []
    assert found["open_folders"] == OPEN_FOLDERS
    assert found["open_files"] == []
    assert set(found["open_devices"]) <= read_devices()
    check_owned(found["owned"])


def check_process(name: str, row: Published, found: dict[str, str]) -> None:
    """Fail unless a daemon's /proc/PID/status is its row; core-capacity has given up its own."""
    assert set(found["Uid"].split()) == set(found["Gid"].split()) == {str(row.user)}, name
    assert capabilities_of(found["CapBnd"]) == set(row.capabilities), name
    for field in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
        assert capabilities_of(found[field]) == set(), (name, field)
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2"), name


def check_ports(found: list[tuple[str, int]]) -> None:
    """Fail unless the published ports are open and no others, but for the workload's."""
    open_ports = {(name, port) for name, port in found} - WORKLOAD_PORTS
    assert PORTS <= open_ports <= PORTS | read_root_ports()


def check_owned(found: dict[str, list[str]]) -> None:
    """Fail if a daemon's user has a file outside of what its row says."""
    for name, row in DAEMONS.items():
        strange = [
            path
            for path in found.get(str(row.user), [])
            if not any(path == one or path.startswith(f"{one}/") for one in row.writable)
        ]
        assert strange == [], name


def test_a_scan_from_another_machine_finds_the_published_ports(
    release: Release, core_hub: LocalHub, artefacts: Path
) -> None:
    words = "runmode=dev farmer_id=1 hub=http://10.0.2.2:9"
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        node_nic, other_nic = (Nic(mac=mac, network=network) for mac in MACS)
        node = stack.enter_context(boot_core(release, core_hub, artefacts / "node", node_nic))
        folder = artefacts / "other"
        other = stack.enter_context(
            boot_node(release, folder, append=words, nics=(other_nic,), has_agent=True)
        )
        wait_until(lambda: address_of(other), "the other machine has an address", BOOT_S)
        host = address_of(node)
        assert host and host != address_of(other)
        tcp = json.loads(other.guest.python(SCAN.format(host=host), timeout_s=900))
        source = SCAN_UDP.format(host=host, ports=UDP_PORTS)
        udp = json.loads(other.guest.python(source, timeout_s=300))
    found = {("tcp", port) for port in tcp} | {("udp", port) for port in udp}
    assert found - WORKLOAD_PORTS - read_root_ports() == PORTS


def address_of(machine: QemuMachine) -> str:
    """Return a machine's IPv4 address, or nothing while it has none."""
    lines = machine.guest.python(ADDRESS).split()
    return lines[0] if lines else ""
