"""Which block devices are a machine's disks, and of which class they are. No I/O.

As upstream: whole disks count with their size; what is on USB does not, nor does what is no disk
(RAM, floppy, CD, loop). The class is what the drive says of itself (Linux' flag `rotational`):
upstream measures the time of seeks, which reads the disk, and stores the answer on it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from core.capacity.model import Disk, Resources

SECTOR_BYTES = 512  # the unit of /sys/block/*/size, whatever the disk's own sectors are
EXCLUDED_MAJORS = frozenset({1, 2, 11})  # RAM, floppy, CD; upstream's list
VIRTUAL = "/devices/virtual/"
MULTIPATH = "/nvme-subsystem/"  # below which an NVMe disk with several controllers is
USB = re.compile(r"/usb\d+/")
BOOT_AREA = re.compile(r"mmcblk\d+(boot\d+|rpmb)")  # hardware partitions of an eMMC
UNIQUE_IDS = ("naa.", "eui.", "uuid.")


@dataclass(frozen=True)
class BlockDevice:
    """What /sys/block says of a device; `place` is the path that it is a link to."""

    name: str
    place: str
    major: int
    sectors: int
    is_rotating: bool
    is_removable: bool = False
    is_read_only: bool = False
    is_hidden: bool = False
    model: str = ""
    wwid: str = ""


def choose_disks(devices: Iterable[BlockDevice]) -> list[Disk]:
    """Return the disks that count, by name; one that is reached by several ways counts once."""
    chosen: dict[str, Disk] = {}
    for device in sorted(devices, key=lambda found: (len(found.name), found.name)):
        if why_not(device) == "":
            is_unique = device.wwid.startswith(UNIQUE_IDS)
            key = device.wwid if is_unique else device.name
            size = device.sectors * SECTOR_BYTES
            disk = Disk(device.name, size, device.is_rotating, device.model, device.wwid)
            chosen.setdefault(key, disk)
    return list(chosen.values())


def why_not(device: BlockDevice) -> str:
    """Return why a device is no disk that counts, or ""."""
    reasons = {
        "it is no disk": device.major in EXCLUDED_MAJORS or bool(BOOT_AREA.fullmatch(device.name)),
        "it is made by the kernel": VIRTUAL in device.place and MULTIPATH not in device.place,
        "it is one way of several to a disk": device.is_hidden,
        "it is on USB": bool(USB.search(device.place)),
        "it can be taken out": device.is_removable,
        "it is read-only": device.is_read_only,
        "it is empty": device.sectors <= 0,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def sum_disks(disks: Iterable[Disk]) -> Resources:
    """Return the sums of both classes."""
    sizes = {False: 0, True: 0}
    for disk in disks:
        sizes[disk.is_rotating] += disk.size
    return Resources(sru=sizes[False], hru=sizes[True])
