"""The stages of a boot, from console lines of real machines."""

from zero_os.boot.timeline import HOST_STAGES, LAST_STAGE, STAGES, Timeline

BIOS = [
    "SeaBIOS (version 1.16.2-debian-1.16.2-1)",
    "iPXE (http://ipxe.org) 00:02.0 C000 PCI2.10 PnP PMM+7EFD0DD0+7EF30DD0 C000",
    "SYSLINUX 6.04 EDD 6.04-pre1 Copyright (C) 1994-2015 H. Peter Anvin et al",
    "iPXE initialising devices...",
    "iPXE 1.21.1+git-20250501 -- Open Source Network Boot Firmware -- https://ipxe.org",
    "[    0.000000] Linux version 6.12.57+deb13-amd64 (debian-kernel@lists.debian.org)",
    "zinit: started as PID 1 (2.41 s after kernel start, 61 modules imported)",
    "[+] network: network: trying eth0 (virtio_net, 52:54:00:12:34:56)",
    "[+] network: network: up: eth0: 10.0.2.15/24, router 10.0.2.2, dns 10.0.2.3",
    "[+] bringup: bringup: farm 7, run mode dev, hub http://10.0.2.2:40000",
    "[+] bringup: bringup: flist mounted on /run/zero-os/root",
]


def read(lines: list[str]) -> Timeline:
    """Return the timeline of a boot that prints one line per second."""
    timeline = Timeline()
    for stage in HOST_STAGES:
        timeline.reach(stage, 0.0)
    for at_s, line in enumerate(lines, start=1):
        timeline.read_line(line, float(at_s))
    return timeline


def test_every_stage_is_reached_once_and_in_order() -> None:
    timeline = read(BIOS)
    assert timeline.missing == [LAST_STAGE]
    timeline.reach(LAST_STAGE, 99.0)
    assert list(timeline.reached) == list(STAGES)
    assert timeline.farm == 7
    assert [at_s for _, at_s, _ in timeline.rows()] == sorted(timeline.reached.values())


def test_uefi_firmware_is_recognised() -> None:
    line = 'BdsDxe: starting Boot0001 "UEFI QEMU QEMU USB HARDDRIVE" from PciRoot(0x0)'
    assert Timeline().read_line(line, 1.0) == "firmware"


def test_the_first_sign_of_a_stage_counts() -> None:
    timeline = read([BIOS[5], BIOS[5]])
    assert timeline.reached["kernel"] == 1.0


def test_other_lines_are_ignored() -> None:
    timeline = Timeline()
    assert timeline.read_line("[    1.0] usb 1-1: new high-speed USB device", 1.0) is None
    assert timeline.missing == list(STAGES)
