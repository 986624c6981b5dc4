"""Gathers everything that a machine has; nothing is kept, so what changes is seen at once."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from common.bootwords import read_words
from core.capacity.disks import choose_disks, sum_disks
from core.capacity.dmi.document import board_serial, make_document, make_sections
from core.capacity.dmi.table import parse_table, parse_version
from core.capacity.gpus import choose_gpus
from core.capacity.links import choose_interfaces
from core.capacity.model import Disk, Interface, Resources
from core.capacity.platform import (
    hypervisor_of,
    parse_boot_params,
    parse_secure_boot,
    reserved_memory,
)
from core.capacity.sysfs import System

TABLES = "sys/firmware/dmi/tables"
DISABLE_GPU = "disable-gpu"  # upstream's flag: there or not, whatever its value
BOOT_PARAMS = "sys/kernel/boot_params/data"


@dataclass(frozen=True)
class Firmware:
    """What the firmware's tables say. Only root can read them, so they are read once."""

    document: Mapping[str, Any]
    serial: str


def read_firmware(system: System) -> Firmware:
    """Return what the firmware's tables say; nothing if there are none."""
    version = parse_version(system.read(f"{TABLES}/smbios_entry_point"))
    sections = make_sections(parse_table(system.read(f"{TABLES}/DMI"), version))
    return Firmware(make_document(sections, version), board_serial(sections))


def gather(system: System, firmware: Firmware, cache: Resources) -> dict[str, Any]:
    """Return what a node registers of its machine; `cache` is what its block cache takes."""
    disks = choose_disks(system.block_devices())
    capacity = count(disks)
    used = reserve(capacity, cache)
    hypervisor = hypervisor_of(system.signs())
    return {
        "capacity": capacity.to_json(),
        "used": used.to_json(),
        "free": capacity.minus(used).to_json(),
        "disks": [disk.to_json() for disk in disks],
        "interfaces": [asdict(interface) for interface in read_interfaces(system)],
        "dmi": firmware.document,
        "serial": firmware.serial,
        "hypervisor": hypervisor,
        "virtualized": hypervisor != "",
        "secure_boot": is_secure(system),
        "gpus": [asdict(gpu) for gpu in read_gpus(system)],
    }


def count(disks: Iterable[Disk]) -> Resources:
    """Return the capacity: threads, the memory that Linux has, the sizes of disks."""
    sums = sum_disks(disks)
    return Resources(
        cru=psutil.cpu_count() or 0,
        mru=psutil.virtual_memory().total,
        sru=sums.sru,
        hru=sums.hru,
    )


def reserve(capacity: Resources, cache: Resources) -> Resources:
    """Return what the node keeps for itself."""
    return Resources(mru=reserved_memory(capacity.mru), sru=cache.sru, hru=cache.hru)


def read_interfaces(system: System) -> list[Interface]:
    """Return the network interfaces."""
    addresses = {
        name: [entry.address for entry in entries if entry.family != psutil.AF_LINK]
        for name, entries in psutil.net_if_addrs().items()
    }
    return choose_interfaces(system.links(), addresses)


def read_gpus(system: System) -> list[Any]:
    """Return the graphics cards, unless the kernel's command line hides them."""
    if DISABLE_GPU in read_words(system.text("proc/cmdline")).values:
        return []
    return list(choose_gpus(system.pci_devices()))


def is_secure(system: System) -> bool:
    """Return whether Secure Boot is on: what the variable says, else what the kernel noted."""
    found = parse_secure_boot(system.secure_boot_variable())
    if found is None:
        found = parse_boot_params(system.read(BOOT_PARAMS))
    return bool(found)
