"""What a screen says when network or server fail, and that the node comes up when they are mended.

The scripts wait for shorter times than real ones; all else is real. The kernel is one that only
says with what it was started: what Linux does with a bad network is in test_node_services.py.
"""

import contextlib
import datetime
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap_server.script import download
from qemu.machine import QemuMachine
from qemu.model import MachineConfig, Nic, UsbBoot
from qemu.network import Network
from serving.listen import open_listener
from tests.helpers.needs import need_tool, need_uefi
from tests.helpers.serving.certificates import make_authority
from tests.helpers.serving.faulty import Fault
from tests.helpers.vm.farm import (
    HOST,
    MAC,
    STAGE_S,
    Farm,
    forget_scripts,
    hurry,
    open_farm,
    wait_for_code,
    wait_until_up,
)
from tests.helpers.vm.names import name_server

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]
ELSEWHERE = "net=192.168.99.0/24,restrict=on"  # a router that leads nowhere, and names none
HALF = 150_000
FETCHED = "/vmlinuz... ok"  # UEFI does not start a kernel that is no EFI program


@pytest.fixture(autouse=True)
def no_script_is_kept() -> Iterator[None]:
    """Keep the quick scripts of these tests from those of other files."""
    yield
    forget_scripts()


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Farm]:
    need_tool("qemu-system-x86_64")
    need_tool("apt-get")
    hurry(monkeypatch)
    with open_farm(tmp_path) as opened:
        yield opened


def test_a_server_that_stalls_and_a_node_that_tries_again(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch, TRIES=2)
    farm.app.fault = Fault("stall", "/initramfs.zst", HALF)
    with farm.boot() as machine:
        since = wait_for_code(machine, "ZB22")
        assert sum(farm.app.hits.values()) == 2
        farm.app.fault = None
        wait_until_up(machine, since)


def test_a_cable_that_is_pulled_and_put_back(farm: Farm) -> None:
    # iPXE's driver of virtio cards does not look at the link.
    with farm.boot(Nic("e1000", mac=MAC)) as machine:
        machine.set_link(False)
        wait_for_code(machine, "ZB17")
        machine.set_link(True)
        wait_until_up(machine)


FAULTS = {
    "ZB21": (Fault("stall", "/release.ipxe", 10),),
    "ZB22": (Fault("stall", "/initramfs.zst", HALF), Fault("stall", "/vmlinuz", 700)),
    "ZB25": (Fault("refuse", "/release.ipxe"), Fault("refuse", "/vmlinuz")),
    # iPXE has one error for a connection that is reset and for one that is closed too early.
    "ZB31": (Fault("reset", "/initramfs.zst", HALF), Fault("truncate", "/initramfs.zst", HALF)),
}


@pytest.mark.matrix
def test_a_server_that_fails(farm: Farm) -> None:
    """One machine meets one fault after another, and then none."""
    since, seen = 0, []
    with farm.boot() as machine:
        for code, faults in FAULTS.items():
            for fault in faults:
                farm.app.fault = fault
                said = machine.wait_for_console_text("Zero-OS: cannot boot", STAGE_S, since)
                seen.append((fault, code, said.text))
                since = said.number + 1
        farm.app.fault = None
        wait_until_up(machine, since)
    assert [row for row in seen if f"({row[1]}): " not in row[2]] == []


@pytest.mark.matrix
@pytest.mark.parametrize("name", ["vmlinuz", "initramfs.zst"])
def test_a_release_that_is_altered_on_the_server(farm: Farm, name: str) -> None:
    """It is not what its manifest names, and not one byte of it is sent."""
    channel = farm.folder / "releases" / "dev"
    whole = {file: (channel / file).read_bytes() for file in ("vmlinuz", "initramfs.zst")}
    digests = {file: {"sha256": hashlib.sha256(data).hexdigest()} for file, data in whole.items()}
    (channel / "manifest.json").write_text(json.dumps({"version": "1", "files": digests}))
    with farm.boot() as machine:
        (channel / name).write_bytes(whole[name][:-1] + b"x")
        since = wait_for_code(machine, "ZB25")
        assert not any("/vmlinuz" in line.text for line in machine.console_lines())
        (channel / name).write_bytes(whole[name])
        wait_until_up(machine, since)


@pytest.mark.matrix
def test_a_network_without_dhcp(farm: Farm) -> None:
    with Network(has_router=False) as network, farm.boot(Nic(mac=MAC, network=network)) as machine:
        wait_for_code(machine, "ZB12")
        network.add_router()
        wait_until_up(machine)


@pytest.mark.matrix
def test_a_network_without_a_gateway(farm: Farm) -> None:
    with Network(has_router=False) as network, farm.boot(Nic(mac=MAC, network=network)) as machine:
        router = network.add_router(ELSEWHERE)
        wait_for_code(machine, "ZB14")
        router.close()
        network.add_router()
        wait_until_up(machine)


@pytest.mark.matrix
def test_two_dhcp_servers_of_which_one_is_wrong(farm: Farm) -> None:
    """Which answers first is chance: the node boots, or says why not until that one is gone."""
    with Network() as network, farm.boot(Nic(mac=MAC, network=network)) as machine:
        wrong = network.add_router(ELSEWHERE)
        said = machine.wait_for_console_text("has address 1", STAGE_S)
        if "192.168.99." in said.text:
            wait_for_code(machine, "ZB14")
            wrong.close()
        wait_until_up(machine)


@pytest.mark.matrix
def test_two_dhcp_servers_that_agree(farm: Farm) -> None:
    with Network() as network, farm.boot(Nic(mac=MAC, network=network)) as machine:
        network.add_router("net=10.0.2.0/24,host=10.0.2.2,dhcpstart=10.0.2.100")
        wait_until_up(machine)


@pytest.mark.matrix
def test_a_name_server_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch, STALL_MS=download.STALL_MS)  # iPXE itself gives the name up earlier
    with open_farm(tmp_path, "boot.zos.test") as farm:
        with farm.boot(address=f"dev/1?dns={HOST}") as machine:
            since = wait_for_code(machine, "ZB13")
            with name_server(HOST):
                wait_until_up(machine, since)


@pytest.mark.matrix
def test_a_network_without_a_name_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DHCP names neither a name server nor a gateway; the second is why nothing can be asked."""
    hurry(monkeypatch)
    with (
        open_farm(tmp_path, "boot.zos.test") as farm,
        Network(has_router=False) as network,
        farm.boot(Nic(mac=MAC, network=network)) as machine,
    ):
        network.add_router("restrict=on")
        wait_for_code(machine, "ZB13")


@pytest.mark.matrix
def test_a_first_mirror_that_is_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    dead = open_listener("127.0.0.1", 0)
    mirror = f"http://{HOST}:{dead.getsockname()[1]}"
    dead.close()
    with open_farm(tmp_path, mirrors=(mirror,)) as farm:
        with farm.boot(address=f"dev/1?mirror={mirror}") as machine:
            machine.wait_for_console_text(f"(try 1 of 1) from {mirror}", STAGE_S)
            machine.wait_for_console_text(f"(try 1 of 1) from {farm.url}", STAGE_S)
            wait_until_up(machine)


@pytest.mark.matrix
def test_a_wrong_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image trusts one root, and at first another server has taken the address."""
    need_uefi()
    hurry(monkeypatch)
    right, wrong = (make_authority(tmp_path / name, HOST) for name in ("right", "wrong"))
    with open_farm(tmp_path / "farm", authority=right) as farm:
        port = int(farm.url.rpartition(":")[2])
        farm.fetch_stick()
    with contextlib.ExitStack() as stack:
        config = MachineConfig(UsbBoot(farm.folder / "farm.img"), firmware="uefi", memory_mib=256)
        with open_farm(tmp_path / "impostor", authority=wrong, port=port) as impostor:
            machine = stack.enter_context(QemuMachine(config, artefacts=tmp_path / "machine"))
            since = wait_for_code(machine, "ZB23")
            assert impostor.app.hits == {}
        with open_farm(tmp_path / "again", authority=right, port=port):
            machine.wait_for_console_text(FETCHED, STAGE_S, since)


RTC_INDEX, RTC_DATA, RTC_YEAR = 0x70, 0x71, 9  # of a PC's clock; the year is two decimal digits


def set_year(machine: QemuMachine, year: int) -> None:
    """Set the year of the machine's clock, as its owner does in the firmware's settings."""
    machine.qmp("stop")
    for port, value in ((RTC_INDEX, RTC_YEAR), (RTC_DATA, int(str(year % 100), 16))):
        machine.qmp("human-monitor-command", **{"command-line": f"o/b {port:#x} {value:#x}"})
    machine.qmp("cont")


@pytest.mark.matrix
@pytest.mark.parametrize("years", [-10, 10])
def test_a_clock_that_is_wrong_by_ten_years(
    years: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_uefi()
    hurry(monkeypatch)
    authority = make_authority(tmp_path / "authority", HOST)
    now = datetime.datetime.now(datetime.UTC)
    day = now.day - ((now.month, now.day) == (2, 29))  # which few years have
    then = now.replace(year=now.year + years, day=day).strftime("%Y-%m-%dT%H:%M:%S")
    with open_farm(tmp_path / "farm", authority=authority) as farm:
        with farm.boot(firmware="uefi", rtc=then) as machine:
            since = wait_for_code(machine, "ZB23")
            set_year(machine, now.year)
            machine.wait_for_console_text(FETCHED, STAGE_S, since)
    with open_farm(tmp_path / "plain") as farm:
        with farm.boot(rtc=then) as machine:
            wait_until_up(machine)  # without certificates nothing depends on the clock
