"""What the block cache takes of the disks, as bring-up tells. No I/O."""

from collections.abc import Iterable, Mapping
from typing import Any

from core.capacity.model import Disk, Resources

DEVICES = "/dev/"


def parse_cache(status: Any, disks: Iterable[Disk]) -> Resources:
    """Return the size of the cache in the class of its disk; nothing if it is in memory.

    `status` is what bring-up's door answers: `{"cache": {"device": "/dev/sda1", "size": ...}}`.
    """
    cache = status.get("cache") if isinstance(status, Mapping) else None
    if not isinstance(cache, Mapping):
        return Resources()
    device, size = cache.get("device"), cache.get("size")
    if not isinstance(device, str) or not isinstance(size, int) or size < 0:
        return Resources()
    disk = disk_of(device, disks)
    if disk is None:
        return Resources()
    size = min(size, disk.size)
    return Resources(hru=size) if disk.is_rotating else Resources(sru=size)


def disk_of(device: str, disks: Iterable[Disk]) -> Disk | None:
    """Return the disk that a device is, or is a partition of (sda1, nvme0n1p1)."""
    name = device.removeprefix(DEVICES)
    for disk in disks:
        rest = name.removeprefix(disk.name)
        if name == disk.name or (rest != name and rest.removeprefix("p").isdigit()):
            return disk
    return None
