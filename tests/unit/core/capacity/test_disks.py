"""Which block devices count, and as what."""

from dataclasses import replace

import pytest

from core.capacity.disks import BlockDevice, choose_disks, sum_disks, why_not
from core.capacity.model import Disk, Resources

GIB = 1 << 30
PCI = "/sys/devices/pci0000:00/0000:00:1f.2"
SDA = BlockDevice("sda", f"{PCI}/ata1/host0/target0:0:0/0:0:0:0/block/sda", 8, 2 * GIB // 512, True)
NVME = BlockDevice("nvme0n1", f"{PCI}/nvme/nvme0/nvme0n1", 259, GIB // 512, False)


def test_sizes_are_summed_by_class() -> None:
    disks = choose_disks([SDA, NVME, replace(NVME, name="nvme1n1")])
    assert [disk.name for disk in disks] == ["sda", "nvme0n1", "nvme1n1"]
    assert sum_disks(disks) == Resources(sru=2 * GIB, hru=2 * GIB)
    assert disks[0].to_json()["class"] == "hdd"
    assert disks[1].to_json()["class"] == "ssd"


def test_a_disk_of_sectors_of_4_kib_has_its_size_in_units_of_512() -> None:
    assert choose_disks([replace(NVME, sectors=7814037168)])[0].size == 4000787030016


@pytest.mark.parametrize(
    ("device", "told"),
    [
        (replace(SDA, name="ram0", place="/sys/devices/virtual/block/ram0", major=1), "no disk"),
        (replace(SDA, name="fd0", major=2), "no disk"),
        (replace(SDA, name="sr0", major=11), "no disk"),
        (replace(SDA, name="loop0", place="/sys/devices/virtual/block/loop0"), "kernel"),
        (replace(SDA, name="zram0", place="/sys/devices/virtual/block/zram0"), "kernel"),
        (replace(SDA, name="dm-0", place="/sys/devices/virtual/block/dm-0"), "kernel"),
        (replace(SDA, place="/sys/devices/pci0000:00/usb2/2-1/2-1:1.0/host6/sda"), "USB"),
        (replace(SDA, is_removable=True), "taken out"),
        (replace(SDA, is_read_only=True), "read-only"),
        (replace(SDA, sectors=0), "empty"),
        (replace(SDA, name="mmcblk0boot0"), "no disk"),
        (replace(NVME, name="nvme0c0n1", is_hidden=True), "one way"),
    ],
)  # fmt: skip
def test_what_is_no_disk_of_the_machine_does_not_count(device: BlockDevice, told: str) -> None:
    assert told in why_not(device)
    assert choose_disks([device]) == []


def test_an_nvme_disk_with_several_controllers_counts_once() -> None:
    place = "/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1"
    ways = [replace(NVME, name=f"nvme0c{n}n1", is_hidden=True) for n in range(2)]
    assert [disk.name for disk in choose_disks([*ways, replace(NVME, place=place)])] == ["nvme0n1"]


def test_a_disk_that_is_reached_twice_counts_once() -> None:
    twice = [replace(SDA, wwid="naa.5000c500"), replace(SDA, name="sdb", wwid="naa.5000c500")]
    assert [disk.name for disk in choose_disks(twice)] == ["sda"]


def test_names_of_cheap_drives_tell_nothing() -> None:
    twins = [replace(SDA, wwid="t10.ATA 0"), replace(SDA, name="sdb", wwid="t10.ATA 0")]
    assert len(choose_disks(twins)) == 2


def test_a_disk_says_what_it_is() -> None:
    (disk,) = choose_disks([replace(SDA, model="Box", wwid="naa.1")])
    assert disk == Disk("sda", 2 * GIB, True, "Box", "naa.1")
