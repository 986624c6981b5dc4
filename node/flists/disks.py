"""Finds the disk that the farmer gave for the cache, and mounts it. Nothing is ever formatted.

It is the partition with the name `cache` or `zos-cache`, else the file system with that label, else
the btrfs file system with a subvolume `zos-cache`. FAT keeps labels in capitals.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.mounts import MS_NODEV, MS_NOSUID, MS_RDONLY, mount, unmount
from node.flists.superblocks import READ_BYTES, FileSystem, find_file_system
from node.log import log as write_log

BLOCK_DEVICES = Path("/sys/class/block")
DEVICES = Path("/dev")
NAMES = ("cache", "zos-cache")
SUBVOLUME = "zos-cache"
MODPROBE = "/usr/sbin/modprobe"
LOAD_DEADLINE_S = 20.0
MS_NOEXEC, MS_NOSYMFOLLOW, MS_NOATIME = 8, 256, 1024
SAFE = MS_NODEV | MS_NOSUID | MS_NOEXEC | MS_NOSYMFOLLOW | MS_NOATIME
# What a superblock says about errors, which could be to stop the kernel, does not count.
OPTIONS = {"ext4": "errors=remount-ro", "vfat": "errors=remount-ro,umask=0077"}
WITHOUT_A_WRITE = "rescue=nologreplay"  # not even the log of btrfs

Tell = Callable[[str], None]

log = partial(write_log, "bringup")


@dataclass(frozen=True)
class Disk:
    """A device with a file system; `options` are those to mount it with."""

    device: Path
    file_system: FileSystem
    options: str = ""


def find_disk(
    target: Path, tell: Tell, devices: Path = BLOCK_DEVICES, dev: Path = DEVICES
) -> Disk | None:
    """Return the disk for the cache, None if there is none. A btrfs file system may be mounted on
    `target` for a moment, read-only, to see whether it has the subvolume. `tell` gets a line for a
    partition that has the name and can't be used."""
    named, others = list[Disk](), list[Disk]()
    for name, partition in list_devices(devices):
        file_system = read_file_system(dev / name)
        if partition in NAMES and file_system is None:
            tell(f"cannot use {name} for the cache: it has no btrfs, ext4 or vfat file system")
        if file_system is None:
            continue
        disk = Disk(dev / name, file_system, OPTIONS.get(file_system.kind, ""))
        if partition in NAMES:
            return disk
        (named if file_system.label.lower() in NAMES else others).append(disk)
    return next(iter(named), None) or find_subvolume(others, target)


def list_devices(devices: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each disk and partition, and the partition's name or ""."""
    for folder in sorted(devices.glob("*")):
        try:
            lines = (folder / "uevent").read_text(errors="replace").splitlines()
        except OSError:
            continue
        words = dict(line.split("=", 1) for line in lines if "=" in line)
        name = words.get("DEVNAME", "")
        if name and "/" not in name and words.get("DEVTYPE") in ("disk", "partition"):
            yield name, words.get("PARTNAME", "")


def read_file_system(device: Path) -> FileSystem | None:
    """Return the file system on a device, None if there is none or it can't be read."""
    try:
        handle = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a drive may be empty
        try:
            return find_file_system(os.pread(handle, READ_BYTES, 0))
        finally:
            os.close(handle)
    except OSError:
        return None


def find_subvolume(disks: list[Disk], target: Path) -> Disk | None:
    """Return the first disk whose btrfs file system has the subvolume."""
    for disk in disks:
        if disk.file_system.kind == "btrfs":
            load("btrfs")
            place = f"subvol={SUBVOLUME}"
            try:
                words = (str(disk.device), target, "btrfs", SAFE | MS_RDONLY)
                mount(*words, f"{place},{WITHOUT_A_WRITE}")
            except OSError:
                continue
            unmount(target)
            return Disk(disk.device, disk.file_system, place)
    return None


def mount_disk(disk: Disk, target: Path) -> bool:
    """Mount a disk; return whether it can be written to. Raises `OSError`."""
    kind = disk.file_system.kind
    load(kind)
    try:
        mount(str(disk.device), target, kind, SAFE, disk.options)
    except OSError:  # a device that is read-only, or a file system that must stay so
        mount(str(disk.device), target, kind, SAFE | MS_RDONLY, disk.options)
    return not os.statvfs(target).f_flag & os.ST_RDONLY


def load(kind: str) -> None:
    """Load the kernel's module of a file system, if it is one."""
    from common.run import CommandError, run

    if f"\t{kind}\n" in Path("/proc/filesystems").read_text():
        return
    try:
        run([MODPROBE, "-b", "-q", kind], timeout_s=LOAD_DEADLINE_S, good=(0, 1))
    except CommandError as error:
        log(f"cannot load the module {kind}: {error}")
