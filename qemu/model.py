"""The configuration of a machine: plain values, checked when created. No I/O."""

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from common.errors import UsageError

Architecture = Literal["amd64", "arm64"]
Firmware = Literal["bios", "uefi", "uefi-secure"]
Acceleration = Literal["auto", "kvm", "tcg"]
PanicAction = Literal["pause", "shutdown", "none"]
DiskBus = Literal["virtio", "usb", "nvme", "sata", "megasas", "mptsas"]

MAX_PORT = 65535


@dataclass(frozen=True)
class UsbBoot:
    """Boot from a USB stick with this image; the guest's writes are discarded at the end."""

    image: Path


@dataclass(frozen=True)
class DiskBoot:
    """Boot from a virtio disk with this image; the guest's writes are discarded at the end."""

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


Boot = UsbBoot | DiskBoot | IsoBoot | KernelBoot | NetworkBoot


@dataclass(frozen=True)
class Forward:
    """A TCP or UDP port of the guest, reached on the host's loopback.

    With `host_port` 0 the host's kernel chooses a free port. QEMU accepts connections at once,
    even while nothing listens on the guest, so only the service's own protocol shows that it is up.
    """

    guest_port: int
    host_port: int = 0
    protocol: Literal["tcp", "udp"] = "tcp"

    def __post_init__(self) -> None:
        if not 0 < self.guest_port <= MAX_PORT or not 0 <= self.host_port <= MAX_PORT:
            raise UsageError(f"no such port: {self.host_port}:{self.guest_port}")


class Switch(Protocol):
    """A network of several machines (`qemu.network.Network`)."""

    def plug(self) -> socket.socket:
        """Return the machine's end of a cable, which the caller closes."""


@dataclass(frozen=True)
class Nic:
    """One network card: on a network of its own, or with other machines on `network`.

    A `model` that begins with "usb-" is on a USB controller of its own.

    If it is not connected, it is on a link where nothing answers.
    """

    model: str = "virtio-net-pci"
    is_connected: bool = True
    mac: str | None = None
    network: Switch | None = None

    def __post_init__(self) -> None:
        if self.network and not self.mac:
            raise UsageError("a card on a network with other machines needs a `mac` of its own")

    @property
    def has_own_network(self) -> bool:
        """Return whether it is on a user-mode network of its own."""
        return self.is_connected and self.network is None


@dataclass(frozen=True)
class Disk:
    """A disk other than the boot device; without `is_writable`, writes are discarded."""

    image: Path
    bus: DiskBus = "virtio"
    is_writable: bool = False


@dataclass(frozen=True)
class MachineConfig:
    """A whole machine. `forwards` are ports of the first connected network card.

    One of the architecture "arm64" is QEMU's board `virt` with the firmware "uefi"; it has no TPM.

    A TPM is new with each machine, unless `tpm_state` is a folder that keeps what it remembers.

    The firmware "uefi-secure" can do Secure Boot; `variables` is a file of UEFI's variables to
    begin with, where the keys are, instead of an empty one.

    `on_panic` is QEMU's action when the guest's kernel reports a panic (pvpanic): `pause` and
    `shutdown` make every wait fail at once; with `none` the guest continues (to its own reboot).
    """

    boot: Boot
    architecture: Architecture = "amd64"
    firmware: Firmware = "bios"
    acceleration: Acceleration = "auto"
    memory_mib: int = 1024
    cpus: int = 1
    nics: tuple[Nic, ...] = (Nic(),)
    forwards: tuple[int | Forward, ...] = ()
    disks: tuple[Disk, ...] = ()
    has_agent: bool = False
    has_tpm: bool = False
    tpm_state: Path | None = None
    variables: Path | None = None
    on_panic: PanicAction = "pause"
    is_reboot_allowed: bool = True
    rtc: str = "utc"
    name: str = "zos"
    extra_args: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.memory_mib < 1 or self.cpus < 1:
            raise UsageError("a machine needs at least 1 MiB of memory and 1 processor")
        if self.architecture == "arm64" and (self.firmware != "uefi" or self.has_tpm):
            raise UsageError(
                "an arm64 machine has neither a BIOS, Secure Boot nor a TPM", hint="firmware='uefi'"
            )
        if self.tpm_state and not self.has_tpm:
            raise UsageError("a machine without a TPM has no state of one", hint="has_tpm=True")
        if self.variables and self.firmware == "bios":
            raise UsageError("a BIOS has no UEFI variables", hint="firmware='uefi'")
        if self.forwards and not any(nic.has_own_network for nic in self.nics):
            raise UsageError(
                "ports can't be forwarded without a connected network card of its own network",
                hint="a Network of several machines has `forward`",
            )

    @property
    def all_forwards(self) -> tuple[Forward, ...]:
        """Return `forwards` with port numbers converted to `Forward`."""
        return tuple(Forward(item) if isinstance(item, int) else item for item in self.forwards)
