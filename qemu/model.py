"""What a machine is made of: plain values, checked when they are made, no I/O."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from common.errors import UsageError

Firmware = Literal["bios", "uefi"]
Acceleration = Literal["auto", "kvm", "tcg"]
PanicAction = Literal["pause", "shutdown", "none"]
DiskBus = Literal["virtio", "usb", "nvme", "sata"]

MAX_PORT = 65535


@dataclass(frozen=True)
class UsbBoot:
    """Boot from a USB stick with this image; what the guest writes is dropped at the end."""

    image: Path


@dataclass(frozen=True)
class IsoBoot:
    """Boot from a CD-ROM."""

    image: Path


@dataclass(frozen=True)
class KernelBoot:
    """Boot a Linux kernel directly; the initrds are concatenated in the given order."""

    kernel: Path
    initrds: tuple[Path, ...] = ()
    append: str = ""


@dataclass(frozen=True)
class NetworkBoot:
    """Boot from the first network card (PXE): `bootfile` comes by TFTP from `folder`."""

    folder: Path
    bootfile: str


Boot = UsbBoot | IsoBoot | KernelBoot | NetworkBoot


@dataclass(frozen=True)
class Forward:
    """A TCP or UDP port of the guest, reached on the host's loopback.

    `host_port` 0 lets the host's kernel choose a free one. QEMU accepts connections on it at once,
    also while nothing listens on the guest: talk the protocol to know that a service is up.
    """

    guest_port: int
    host_port: int = 0
    protocol: Literal["tcp", "udp"] = "tcp"

    def __post_init__(self) -> None:
        if not 0 < self.guest_port <= MAX_PORT or not 0 <= self.host_port <= MAX_PORT:
            raise UsageError(f"no such port: {self.host_port}:{self.guest_port}")


@dataclass(frozen=True)
class Nic:
    """One network card: on QEMU's own user-mode network, or on a wire where nobody answers."""

    model: str = "virtio-net-pci"
    is_connected: bool = True
    mac: str | None = None


@dataclass(frozen=True)
class Disk:
    """A disk beside the one that is booted from; without `is_writable`, writes are dropped."""

    image: Path
    bus: DiskBus = "virtio"
    is_writable: bool = False


@dataclass(frozen=True)
class MachineConfig:
    """A whole machine. `forwards` are ports of the first connected network card.

    `on_panic` says what a guest's panic does, when its kernel tells QEMU (pvpanic): `pause` and
    `shutdown` make every wait fail at once, `none` lets the guest go on (to its own reboot).
    """

    boot: Boot
    firmware: Firmware = "bios"
    acceleration: Acceleration = "auto"
    memory_mib: int = 1024
    cpus: int = 1
    nics: tuple[Nic, ...] = (Nic(),)
    forwards: tuple[int | Forward, ...] = ()
    disks: tuple[Disk, ...] = ()
    has_agent: bool = False
    on_panic: PanicAction = "pause"
    is_reboot_allowed: bool = True
    rtc: str = "utc"
    name: str = "zos"
    extra_args: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.memory_mib < 1 or self.cpus < 1:
            raise UsageError("a machine needs at least 1 MiB of memory and 1 processor")
        if self.forwards and not any(nic.is_connected for nic in self.nics):
            raise UsageError("ports can't be forwarded without a connected network card")

    @property
    def all_forwards(self) -> tuple[Forward, ...]:
        """Return `forwards` with bare port numbers spelled out."""
        return tuple(Forward(item) if isinstance(item, int) else item for item in self.forwards)
