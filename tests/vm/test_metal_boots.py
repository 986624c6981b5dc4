"""A node of the profile `metal`, with every kind of disk and network card that QEMU emulates.

Its microcode and firmware are where the kernel and its drivers look for them.
"""

import json
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from flist.hub.app import create_app
from image.model import Release
from qemu.machine import QemuMachine
from qemu.model import Disk, DiskBus, KernelBoot, MachineConfig, Nic
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.needs import need_tool
from zero_os.boot.hub import LocalHub

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
BOOT_S = 600
DISK_BYTES = 64 << 20
# The driver of each model of card. QEMU 7.2 has no igb.
CARDS = {
    "virtio-net-pci": "virtio_net",
    "e1000": "e1000",
    "e1000e": "e1000e",
    "igb": "igb",
    "rtl8139": "8139cp",
    "vmxnet3": "vmxnet3",
    "usb-net": "cdc_ether",
    "tulip": "tulip",
    "pcnet": "pcnet32",
}
# The driver of the controller of each kind of disk.
CONTROLLERS: dict[DiskBus, str] = {
    "virtio": "virtio-pci",
    "usb": "usb-storage",
    "nvme": "nvme",
    "sata": "ahci",
    "megasas": "megaraid_sas",
    "mptsas": "mptsas",
}
# QEMU 7.2's adapter is bound to its driver, but shows it no disk.
HIDDEN: tuple[DiskBus, ...] = ("mptsas",)
# A firmware is there under the name that its driver asks for, and no microcode stays in memory.
PARTS = """
import lzma, os
print(len(lzma.open("/usr/lib/firmware/intel/ice/ddp/ice.pkg.xz").read()) > 100_000)
print(os.readlink("/kernel/x86/microcode/GenuineIntel.bin"))
"""
# Disks appear a while after their drivers are loaded.
COUNT = "import os; assert len(os.listdir('/sys/class/block')) >= {}"
DRIVERS = """
import json, os

def drivers(device):
    path = os.path.realpath(device)
    while path != "/sys/devices":
        if os.path.exists(path + "/driver"):
            yield os.path.basename(os.readlink(path + "/driver"))
        path = os.path.dirname(path)

def read(path):
    return open(path).read().strip()

cards = {read(f"/sys/class/net/{name}/address"): list(drivers(f"/sys/class/net/{name}/device"))
         for name in os.listdir("/sys/class/net") if name != "lo"}
disks = {int(read(f"/sys/class/block/{name}/size")) * 512: list(drivers(f"/sys/class/block/{name}"))
         for name in os.listdir("/sys/class/block")}
bound = [name for name in os.listdir("/sys/bus/pci/drivers")
         if any(":" in one for one in os.listdir(f"/sys/bus/pci/drivers/{name}"))]
print(json.dumps([cards, disks, bound]))
"""


def emulated_cards() -> list[str]:
    """Return the models of `CARDS` that this QEMU has."""
    need_tool("qemu-system-x86_64")
    call = ["qemu-system-x86_64", "-machine", "q35", "-device", "help"]
    listed = subprocess.run(call, capture_output=True, check=True, text=True, timeout=60).stdout
    return [model for model in CARDS if f'name "{model}"' in listed]


def boot_metal(release: Release, words: str) -> KernelBoot:
    """Return how a node of `release` boots, with the kernel parameters `words`."""
    initrds = (release.folder / "initramfs.zst",)
    return KernelBoot(release.folder / "vmlinuz", initrds, f"console=ttyS0 panic=-1 {words}")


def test_a_node_has_a_driver_for_every_disk_and_card(
    metal: Release, tmp_path: Path, artefacts: Path
) -> None:
    disks = {bus: DISK_BYTES + number * 4096 for number, bus in enumerate(get_args(DiskBus))}
    assert set(disks) == set(CONTROLLERS)
    for bus, size in disks.items():
        with (tmp_path / bus).open("wb") as image:
            image.truncate(size)
    cards = {f"52:54:00:00:00:{at:02x}": model for at, model in enumerate(emulated_cards())}
    config = MachineConfig(
        boot=boot_metal(metal, "runmode=dev farmer_id=1"),
        memory_mib=2048,
        disks=tuple(Disk(tmp_path / bus, bus=bus) for bus in disks),
        nics=tuple(Nic(model, mac=mac) for mac, model in cards.items()),
        has_agent=True,
    )
    with QemuMachine(config, artefacts=artefacts) as machine:
        machine.guest.wait_until_ready(BOOT_S)
        machine.wait_for_console_text("network: up", BOOT_S)
        assert "VARIANT_ID=metal" in machine.guest.read_file("/etc/os-release").decode()
        assert machine.guest.python(PARTS).split() == ["True", "/dev/null"]
        count = len(disks) - len(HIDDEN)
        machine.guest.wait_until_succeeds(["/usr/bin/python3", "-c", COUNT.format(count)], BOOT_S)
        seen_cards, seen_disks, bound = json.loads(machine.guest.python(DRIVERS))
    for mac, model in cards.items():
        assert CARDS[model] in seen_cards.get(mac, ()), (model, seen_cards)
    for bus in HIDDEN:
        assert CONTROLLERS[bus] in bound, (bus, bound)
    for bus, size in disks.items():
        assert bus in HIDDEN or CONTROLLERS[bus] in seen_disks.get(str(size), ()), (bus, seen_disks)


@pytest.mark.matrix
@pytest.mark.parametrize("model", CARDS)
def test_a_node_comes_up_by_each_card(
    metal: Release, hub: LocalHub, artefacts: Path, model: str
) -> None:
    if model not in emulated_cards():
        pytest.skip(f"this QEMU has no {model}")
    with open_listener("127.0.0.1", 0) as door, serve_in_thread(create_app(hub.root), door):
        words = f"runmode=dev farmer_id=1 hub=http://10.0.2.2:{door.getsockname()[1]}"
        config = MachineConfig(boot_metal(metal, words), memory_mib=2048, nics=(Nic(model),))
        with QemuMachine(config, artefacts=artefacts) as machine:
            machine.wait_for_console_text(f"({CARDS[model]}", BOOT_S)
            machine.wait_for_console_text("bringup: node ready", BOOT_S)
