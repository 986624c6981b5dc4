"""QEMU's command line, as golden lists, and the configuration that it is built from."""

from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from qemu.args import Wiring, build_args
from qemu.model import (
    Boot,
    Disk,
    DiskBoot,
    Forward,
    IsoBoot,
    KernelBoot,
    MachineConfig,
    NetworkBoot,
    Nic,
    UsbBoot,
)
from qemu.network import Network
from qemu.session import read_forwards

WIRING = Wiring(acceleration="tcg", qmp_fd=3, console_fd=4)
USB = UsbBoot(Path("/farm.img"))


def text_of(config: MachineConfig, wiring: Wiring = WIRING) -> str:
    """Return the whole command line as one string."""
    return " ".join(build_args(config, wiring))


def test_a_bios_machine_with_a_usb_stick() -> None:
    config = MachineConfig(boot=USB, memory_mib=2048, forwards=(6379,))
    assert build_args(config, WIRING) == [
        "qemu-system-x86_64",
        *["-name", "zos", "-nodefaults", "-no-user-config"],
        *["-machine", "q35,graphics=off", "-accel", "tcg", "-cpu", "max"],
        *["-smp", "1", "-m", "2048M"],
        *["-rtc", "base=utc"],
        *["-display", "none", "-vga", "std"],
        *["-action", "panic=pause,reboot=reset"],
        *["-boot", "menu=off,strict=on", "-S"],
        *["-chardev", "socket,id=qmp,fd=3", "-mon", "chardev=qmp,mode=control"],
        *["-chardev", "socket,id=console,fd=4", "-serial", "chardev:console"],
        *["-device", "qemu-xhci,id=usb"],
        *["-drive", "if=none,id=boot,format=raw,snapshot=on,file=/farm.img"],
        *["-device", "usb-storage,bus=usb.0,drive=boot,bootindex=0,removable=on"],
        *["-netdev", "user,id=net0,hostfwd=tcp:127.0.0.1:0-:6379"],
        *["-device", "virtio-net-pci,id=nic0,netdev=net0,mac=52:54:00:7a:05:00,romfile="],
        *["-device", "virtio-rng-pci", "-device", "pvpanic"],
    ]


def test_a_uefi_machine_with_an_agent() -> None:
    wiring = Wiring(
        acceleration="kvm",
        qmp_fd=3,
        console_fd=4,
        agent_fd=5,
        code_file=Path("/code.fd"),
        vars_file=Path("/vars.fd"),
    )
    text = text_of(MachineConfig(boot=USB, firmware="uefi", cpus=4), wiring)
    assert "-accel kvm -cpu host -smp 4" in text
    assert "-drive if=pflash,unit=0,format=raw,readonly=on,file=/code.fd" in text
    assert "-drive if=pflash,unit=1,format=raw,file=/vars.fd" in text
    assert (
        "-device virtio-serial-pci -chardev socket,id=agent,fd=5"
        " -device virtserialport,chardev=agent,name=org.zero-os.agent" in text
    )


def test_an_arm64_machine() -> None:
    boot = KernelBoot(Path("/vmlinuz"), append="console=ttyAMA0")
    config = MachineConfig(boot=boot, architecture="arm64", firmware="uefi")
    wiring = Wiring("tcg", 3, 4, code_file=Path("/code.fd"), vars_file=Path("/vars.fd"))
    words = build_args(config, wiring)
    text = " ".join(words)
    assert words[0] == "qemu-system-aarch64"
    assert "-machine virt -accel tcg -cpu cortex-a72" in text
    assert "-display none -device virtio-gpu-pci" in text
    assert "if=pflash,unit=0,format=raw,readonly=on,file=/code.fd" in text
    assert text.endswith("-device virtio-rng-pci -device pvpanic-pci -device ich9-ahci")


@pytest.mark.parametrize(
    "settings", [{}, {"firmware": "uefi-secure"}, {"firmware": "uefi", "has_tpm": True}]
)
def test_what_an_arm64_machine_does_not_have_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="an arm64 machine has neither a BIOS") as caught:
        MachineConfig(boot=USB, architecture="arm64", **settings)
    assert caught.value.hint == "firmware='uefi'"


def test_a_machine_with_secure_boot_and_a_tpm() -> None:
    code, variables = Path("/code.fd"), Path("/vars.fd")
    wiring = Wiring("tcg", 3, 4, tpm_fd=5, code_file=code, vars_file=variables)
    text = text_of(MachineConfig(boot=USB, firmware="uefi-secure", has_tpm=True), wiring)
    assert "-machine q35,smm=on -accel tcg" in text
    assert "-global driver=cfi.pflash01,property=secure,value=on" in text
    assert (
        "-chardev socket,id=tpm,fd=5 -tpmdev emulator,id=tpm0,chardev=tpm"
        " -device tpm-crb,tpmdev=tpm0" in text
    )
    plain = text_of(MachineConfig(boot=USB, firmware="uefi"), wiring)
    assert "smm" not in plain
    assert "cfi.pflash01" not in plain


@pytest.mark.parametrize(
    ("boot", "words"),
    [
        (
            DiskBoot(Path("/farm.img")),
            "id=boot,format=raw,snapshot=on,file=/farm.img -device virtio-blk-pci,drive=boot,boot",
        ),
        (
            IsoBoot(Path("/farm.iso")),
            "id=boot,format=raw,media=cdrom,readonly=on,file=/farm.iso -device ide-cd,drive=boot",
        ),
        (KernelBoot(Path("/vmlinuz")), "-kernel /vmlinuz -netdev"),
        (
            KernelBoot(Path("/vmlinuz"), (Path("/a"), Path("/b")), "quiet a,b"),
            "-kernel /vmlinuz -initrd /work/initrd -append quiet a,b",
        ),
        (
            NetworkBoot(Path("/tftp,root"), "boot.ipxe"),
            "tftp=/tftp,,root,bootfile=boot.ipxe -device virtio-net-pci,id=nic0,netdev=net0,mac=",
        ),
    ],
)
def test_boot_sources(boot: Boot, words: str) -> None:
    has_initrd = isinstance(boot, KernelBoot) and boot.initrds
    initrd = Path("/work/initrd") if has_initrd else None
    wiring = Wiring(acceleration="tcg", qmp_fd=3, console_fd=4, initrd=initrd)
    assert words in text_of(MachineConfig(boot=boot), wiring)


def test_commas_in_a_path_are_escaped() -> None:
    config = MachineConfig(boot=UsbBoot(Path("/a,readonly=off")))
    assert "file=/a,,readonly=off " in text_of(config)


def test_network_cards_and_forwarded_ports() -> None:
    nics = (Nic(is_connected=False), Nic(model="e1000e", mac="52:54:00:00:00:01"), Nic())
    forwards = (80, Forward(53, host_port=5353, protocol="udp"))
    text = text_of(MachineConfig(boot=USB, nics=nics, forwards=forwards))
    assert "-netdev hubport,id=net0,hubid=0 -device virtio-net-pci,id=nic0,netdev=net0" in text
    assert (
        "-netdev user,id=net1,hostfwd=tcp:127.0.0.1:0-:80,hostfwd=udp:127.0.0.1:5353-:53"
        " -device e1000e,id=nic1,netdev=net1,mac=52:54:00:00:00:01,romfile=" in text
    )
    assert "-netdev user,id=net2 " in text
    assert "qemu-xhci" not in text.partition("-netdev")[2]
    assert "-netdev" not in text_of(MachineConfig(boot=USB, nics=()))


def test_a_network_card_on_usb_has_a_controller_and_no_rom() -> None:
    text = text_of(MachineConfig(boot=KernelBoot(Path("/vmlinuz")), nics=(Nic("usb-net"),)))
    assert "-device qemu-xhci,id=cards -netdev user,id=net0" in text
    assert "usb-net,id=nic0,netdev=net0,mac=52:54:00:7a:05:00,bus=cards.0 " in text


def test_disks() -> None:
    disks = (
        Disk(Path("/a")),
        Disk(Path("/b"), bus="usb"),
        Disk(Path("/c"), bus="nvme", is_writable=True),
        Disk(Path("/d"), bus="sata"),
        Disk(Path("/e"), bus="megasas"),
        Disk(Path("/f"), bus="mptsas"),
    )
    text = text_of(MachineConfig(boot=USB, disks=disks))
    assert "if=none,id=disk0,format=raw,snapshot=on,file=/a -device virtio-blk-pci" in text
    assert "-device usb-storage,bus=disks.0,drive=disk1" in text
    assert "snapshot=off,file=/c -device nvme,drive=disk2,serial=zos2" in text
    assert "-device ide-hd,drive=disk3" in text
    assert "-device scsi-hd,bus=megasas.0,drive=disk4" in text
    assert "-device scsi-hd,bus=mptsas.0,drive=disk5" in text
    assert text.index("-device megasas,id=megasas") < text.index("bus=megasas.0")
    assert text.index("-device mptsas1068,id=mptsas") < text.index("bus=mptsas.0")
    assert text.count("-device qemu-xhci,id=disks") == 1
    assert text.index("qemu-xhci,id=disks") < text.index("usb-storage,bus=disks.0")


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_an_invalid_port_is_refused(port: int) -> None:
    with pytest.raises(UsageError, match="no such port"):
        Forward(port)


def test_an_invalid_machine_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1 MiB"):
        MachineConfig(boot=USB, memory_mib=0)
    with pytest.raises(UsageError, match="without a connected network card"):
        MachineConfig(boot=USB, nics=(Nic(is_connected=False),), forwards=(80,))
    with pytest.raises(UsageError, match="without a connected network card"):
        MachineConfig(
            boot=USB, nics=(Nic(network=Network(), mac="52:54:00:0:0:1"),), forwards=(80,)
        )
    with pytest.raises(UsageError, match="a BIOS has no UEFI variables"):
        MachineConfig(boot=USB, variables=Path("/vars.fd"))
    with pytest.raises(UsageError, match="needs a `mac`"):
        Nic(network=Network())


def test_a_card_on_a_network_of_several_machines() -> None:
    nics = (Nic(), Nic(network=Network(), mac="52:54:00:0:0:1"))
    config = MachineConfig(boot=USB, nics=nics)
    text = " ".join(build_args(config, Wiring("tcg", 3, 4, cable_fds={1: 7})))
    assert "-netdev user,id=net0 " in text
    assert "-netdev socket,id=net1,fd=7 -device virtio-net-pci,id=nic1,netdev=net1," in text


def test_the_ports_that_qemu_chose_are_parsed() -> None:
    table = (
        "Hub -1 (net0):\r\n"
        "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n"
        "  TCP[ESTABLISHED]   14       127.0.0.1 41000       10.0.2.15  6379     0     0\r\n"
        "  TCP[HOST_FORWARD]  12       127.0.0.1 33183       10.0.2.15  6379     0     0\r\n"
        "  UDP[HOST_FORWARD]  13       127.0.0.1 40001       10.0.2.15    53     0     0\r\n"
    )
    assert read_forwards(table) == {("tcp", 6379): 33183, ("udp", 53): 40001}
