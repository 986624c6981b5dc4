"""Which PCI devices are graphics cards that a workload can have. No I/O.

As upstream: cards of AMD and NVIDIA that are not on the first bus, where what is built into the
machine is. Upstream takes displays only (class 0x0300) and so misses the cards of data centres,
which are 3D controllers (class 0x0302).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from core.capacity.model import Gpu

CLASSES = frozenset({0x0300, 0x0302})
VENDORS = {"1002": "Advanced Micro Devices, Inc. [AMD/ATI]", "10de": "NVIDIA Corporation"}
FIRST_BUS = "0000:00:"
SLOT = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


@dataclass(frozen=True)
class PciDevice:
    """What /sys/bus/pci/devices says: `kind` is the class with its programming interface."""

    slot: str
    kind: int
    vendor: int
    device: int


def choose_gpus(devices: Iterable[PciDevice]) -> list[Gpu]:
    """Return the graphics cards by slot."""
    return [gpu_of(device) for device in sorted(devices, key=slot_of) if is_gpu(device)]


def slot_of(device: PciDevice) -> str:
    """Return where a device is."""
    return device.slot


def is_gpu(device: PciDevice) -> bool:
    """Return whether a device is a graphics card that counts."""
    return (
        bool(SLOT.fullmatch(device.slot))
        and device.kind >> 8 in CLASSES
        and f"{device.vendor:04x}" in VENDORS
        and not device.slot.startswith(FIRST_BUS)
    )


def gpu_of(device: PciDevice) -> Gpu:
    """Return a card with its names."""
    vendor, model = f"{device.vendor:04x}", f"{device.device:04x}"
    return Gpu(f"{device.slot}/{vendor}/{model}", VENDORS[vendor], model)
