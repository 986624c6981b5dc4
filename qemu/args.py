"""Builds QEMU's command line from a `MachineConfig`. Pure; one function per part.

Works with QEMU 7.2 (Debian 12) and later.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qemu.model import (
    Architecture,
    Disk,
    DiskBoot,
    Firmware,
    Forward,
    IsoBoot,
    KernelBoot,
    MachineConfig,
    NetworkBoot,
    Nic,
    UsbBoot,
)

PROGRAM = "qemu-system-x86_64"
AGENT_PORT = "org.zero-os.agent"


@dataclass(frozen=True)
class Board:
    """What QEMU has for an architecture: the board by firmware, the emulated processor, devices."""

    program: str
    package: str
    boards: Mapping[Firmware, str]
    processor: str
    display: tuple[str, ...]
    devices: tuple[str, ...]


BOARDS: Mapping[Architecture, Board] = {
    "amd64": Board(
        PROGRAM,
        "qemu-system-x86",
        # Without graphics, SeaBIOS copies its text screen to the serial port. This puts boot
        # loaders and iPXE, which write only to the screen, on the console. UEFI does so by itself.
        {"bios": "q35,graphics=off", "uefi": "q35", "uefi-secure": "q35,smm=on"},
        "max",  # has the features that current distributions require
        ("-vga", "std"),
        ("virtio-rng-pci", "pvpanic"),
    ),
    "arm64": Board(
        "qemu-system-aarch64",
        "qemu-system-arm",
        {"uefi": "virt"},
        "cortex-a72",  # "max" authenticates pointers, which is slow to emulate
        ("-device", "virtio-gpu-pci"),
        ("virtio-rng-pci", "pvpanic-pci", "ich9-ahci"),
    ),
}
CONTROLLERS = {
    "usb": ("-device", "qemu-xhci,id=disks"),
    "megasas": ("-device", "megasas,id=megasas"),
    "mptsas": ("-device", "mptsas1068,id=mptsas"),
}
USB_CARD = "usb-"


@dataclass(frozen=True)
class Wiring:
    """What exists only while a machine runs: sockets and private files.

    The numbers are inherited file descriptors of connected stream sockets. `vars_file` is this
    machine's copy of the firmware's variables, `initrd` the concatenated archives. `cable_fds`
    are the cables to networks with other machines.
    """

    acceleration: str
    qmp_fd: int
    console_fd: int
    agent_fd: int | None = None
    tpm_fd: int | None = None
    code_file: Path | None = None
    vars_file: Path | None = None
    initrd: Path | None = None
    cable_fds: Mapping[int, int] = field(default_factory=dict)  # by the number of the card


def build_args(config: MachineConfig, wiring: Wiring) -> list[str]:
    """Return the whole command line, the program first."""
    return [
        BOARDS[config.architecture].program,
        *machine_args(config, wiring),
        *channel_args(wiring),
        *firmware_args(config, wiring),
        *boot_args(config, wiring),
        *disk_args(config.disks),
        *network_args(config, wiring.cable_fds),
        *device_args(config),
        *config.extra_args,
    ]


def machine_args(config: MachineConfig, wiring: Wiring) -> list[str]:
    """Return the board, its processors and memory, and the actions that end it."""
    board = BOARDS[config.architecture]
    cpu = "host" if wiring.acceleration == "kvm" else board.processor
    reboot = "reset" if config.is_reboot_allowed else "shutdown"
    return [
        *["-name", escape(config.name), "-nodefaults", "-no-user-config"],
        *["-machine", board.boards[config.firmware], "-accel", wiring.acceleration, "-cpu", cpu],
        *["-smp", str(config.cpus), "-m", f"{config.memory_mib}M"],
        *["-rtc", f"base={config.rtc}"],
        *["-display", "none", *board.display],
        *["-action", f"panic={config.on_panic},reboot={reboot}"],
        *["-boot", "menu=off,strict=on", "-S"],
    ]


def channel_args(wiring: Wiring) -> list[str]:
    """Return the monitor, the serial console, and the guest agent's port if there is one."""
    words = [
        *["-chardev", f"socket,id=qmp,fd={wiring.qmp_fd}", "-mon", "chardev=qmp,mode=control"],
        *["-chardev", f"socket,id=console,fd={wiring.console_fd}", "-serial", "chardev:console"],
    ]
    if wiring.agent_fd is not None:
        words += ["-device", "virtio-serial-pci"]
        words += ["-chardev", f"socket,id=agent,fd={wiring.agent_fd}"]
        words += ["-device", f"virtserialport,chardev=agent,name={AGENT_PORT}"]
    return words


def firmware_args(config: MachineConfig, wiring: Wiring) -> list[str]:
    """Return UEFI's flash chips, without which QEMU runs SeaBIOS, and the TPM."""
    words = []
    if config.firmware == "uefi-secure":
        # Only code in system management mode may write to the flash chips, or else a kernel could
        # add keys. Sleeping is off, since it would need that code to run from elsewhere.
        words += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
        words += ["-global", "ICH9-LPC.disable_s3=1"]
    if wiring.code_file and wiring.vars_file:
        code, variables = escape(wiring.code_file), escape(wiring.vars_file)
        words += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"]
        words += ["-drive", f"if=pflash,unit=1,format=raw,file={variables}"]
    if wiring.tpm_fd is not None:
        words += ["-chardev", f"socket,id=tpm,fd={wiring.tpm_fd}"]
        words += ["-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm0"]
    return words


def boot_args(config: MachineConfig, wiring: Wiring) -> list[str]:
    """Return the boot device or kernel; a network boot is part of the network card."""
    match config.boot:
        case UsbBoot(image):
            drive = f"if=none,id=boot,format=raw,snapshot=on,file={escape(image)}"
            device = "usb-storage,bus=usb.0,drive=boot,bootindex=0,removable=on"
            return ["-device", "qemu-xhci,id=usb", "-drive", drive, "-device", device]
        case DiskBoot(image):
            drive = f"if=none,id=boot,format=raw,snapshot=on,file={escape(image)}"
            return ["-drive", drive, "-device", "virtio-blk-pci,drive=boot,bootindex=0"]
        case IsoBoot(image):
            drive = f"if=none,id=boot,format=raw,media=cdrom,readonly=on,file={escape(image)}"
            return ["-drive", drive, "-device", "ide-cd,drive=boot,bootindex=0"]
        case KernelBoot(kernel, _, append):
            words = ["-kernel", str(kernel)]
            words += ["-initrd", str(wiring.initrd)] if wiring.initrd else []
            return [*words, "-append", append] if append else words
        case NetworkBoot():
            return []


def disk_args(disks: tuple[Disk, ...]) -> list[str]:
    """Return the disks other than the boot device."""
    words = []
    for number, disk in enumerate(disks):
        snapshot = "off" if disk.is_writable else "on"
        drive = f"if=none,id=disk{number},format=raw,snapshot={snapshot},file={escape(disk.image)}"
        device = {
            "virtio": f"virtio-blk-pci,drive=disk{number}",
            "usb": f"usb-storage,bus=disks.0,drive=disk{number}",
            "nvme": f"nvme,drive=disk{number},serial=zos{number}",
            "sata": f"ide-hd,drive=disk{number}",
            "megasas": f"scsi-hd,bus=megasas.0,drive=disk{number}",
            "mptsas": f"scsi-hd,bus=mptsas.0,drive=disk{number}",
        }[disk.bus]
        words += ["-drive", drive, "-device", device]
    used = {disk.bus for disk in disks}
    return [*(word for bus in CONTROLLERS if bus in used for word in CONTROLLERS[bus]), *words]


def network_args(config: MachineConfig, cable_fds: Mapping[int, int]) -> list[str]:
    """Return every network card with its backend."""
    has_usb = any(nic.model.startswith(USB_CARD) for nic in config.nics)
    words = ["-device", "qemu-xhci,id=cards"] if has_usb else []
    forwards = iter([config.all_forwards])
    boots = iter([config.boot] if isinstance(config.boot, NetworkBoot) else [])
    for number, nic in enumerate(config.nics):
        if number in cable_fds:
            words += ["-netdev", f"socket,id=net{number},fd={cable_fds[number]}"]
            boots_here = next(boots, None) is not None
            words += ["-device", network_card(number, nic, boots_here)]
        elif nic.is_connected:
            boot = next(boots, None)
            backend = user_network(number, next(forwards, ()), boot)
            words += ["-netdev", backend, "-device", network_card(number, nic, boot is not None)]
        else:
            # A hub with a single port: the link is up, but nothing answers.
            words += ["-netdev", f"hubport,id=net{number},hubid={number}"]
            words += ["-device", network_card(number, nic, False)]
    return words


def user_network(number: int, forwards: tuple[Forward, ...], boot: NetworkBoot | None) -> str:
    """Return one user-mode network: DHCP, DNS, and the host's loopback at 10.0.2.2."""

    def options() -> Iterator[str]:
        yield f"user,id=net{number}"
        if boot:
            yield f"tftp={escape(boot.folder)}"
            yield f"bootfile={escape(boot.bootfile)}"
        for item in forwards:
            yield f"hostfwd={item.protocol}:127.0.0.1:{item.host_port}-:{item.guest_port}"

    return ",".join(options())


def network_card(number: int, nic: Nic, is_booted: bool) -> str:
    """Return one network card; its boot ROM costs seconds, so only a boot device has one."""
    mac = nic.mac or f"52:54:00:7a:05:{number:02x}"
    last = "bus=cards.0" if nic.model.startswith(USB_CARD) else "romfile="
    last = "bootindex=0" if is_booted else last
    return f"{nic.model},id=nic{number},netdev=net{number},mac={mac},{last}"


def device_args(config: MachineConfig) -> list[str]:
    """Return the devices of every machine: random numbers, a panic notifier, a bus for disks."""
    return [word for name in BOARDS[config.architecture].devices for word in ("-device", name)]


def escape(text: str | Path) -> str:
    """Return `text` as an option's value; QEMU reads a doubled comma as one."""
    return str(text).replace(",", ",,")
