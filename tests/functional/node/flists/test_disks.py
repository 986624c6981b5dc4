"""The disk for the cache is found by its names on real file systems, and mounted harmlessly."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.mounts import mount, unmount
from node.flists.disks import Disk, find_disk, mount_disk
from tests.helpers.node.disk import announce, loop_device, make_image


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """Return a mount point."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    yield folder
    unmount(folder)


@contextlib.contextmanager
def disk_of(tmp_path: Path, kind: str, label: str, partition: str = "") -> Iterator[Path]:
    """Make a disk and announce it in `tmp_path/sys`; yield its device."""
    image = make_image(tmp_path / f"{kind}-{label}-{partition}.img", kind, label)
    with loop_device(image) as device:
        announce(tmp_path / "sys", device, partition)
        yield device


def find(tmp_path: Path, target: Path) -> tuple[Disk | None, list[str]]:
    """Return the disk that is found, and what was told."""
    told: list[str] = []
    return find_disk(target, told.append, tmp_path / "sys"), told


def test_a_label_of_fat_is_in_capitals(tmp_path: Path, target: Path) -> None:
    with disk_of(tmp_path, "vfat", "DATA"), disk_of(tmp_path, "vfat", "ZOS-CACHE") as device:
        disk, told = find(tmp_path, target)
        assert disk
        assert (disk.device, disk.file_system.kind, told) == (device, "vfat", [])


@pytest.mark.parametrize("kind", ["ext4", "btrfs"])
def test_a_labelled_file_system_is_found_and_mounted(
    kind: str, tmp_path: Path, target: Path
) -> None:
    with disk_of(tmp_path, kind, "data"), disk_of(tmp_path, kind, "zos-cache") as device:
        disk, told = find(tmp_path, target)
        assert disk
        assert (disk.device, disk.file_system.kind, told) == (device, kind, [])
        assert mount_disk(disk, target)
        (target / "file").write_text("kept")
        unmount(target)
        assert mount_disk(disk, target)
        assert (target / "file").read_text() == "kept"
        unmount(target)


def test_a_partitions_name_goes_before_labels(tmp_path: Path, target: Path) -> None:
    with disk_of(tmp_path, "ext4", "zos-cache"), disk_of(tmp_path, "ext4", "x", "cache") as device:
        disk, _ = find(tmp_path, target)
        assert disk
        assert disk.device == device


def test_a_partition_without_a_file_system_is_told_and_left_alone(
    tmp_path: Path, target: Path
) -> None:
    image = tmp_path / "empty.img"
    image.write_bytes(bytes(1 << 20))
    with loop_device(image) as device:
        announce(tmp_path / "sys", device, "zos-cache")
        disk, told = find(tmp_path, target)
        assert disk is None
        assert told == [
            f"cannot use {device.name} for the cache: it has no btrfs, ext4 or vfat file system"
        ]
    assert image.read_bytes() == bytes(1 << 20)


def test_a_subvolume_of_btrfs_is_found(tmp_path: Path, target: Path) -> None:
    with disk_of(tmp_path, "btrfs", "other"), disk_of(tmp_path, "btrfs", "pool") as device:
        assert find(tmp_path, target) == (None, [])
        mount(str(device), target, "btrfs")
        make = ["btrfs", "subvolume", "create", str(target / "zos-cache")]
        subprocess.run(make, check=True, timeout=60, capture_output=True)
        (target / "zos-cache/mine").write_text("here")
        unmount(target)
        disk, _ = find(tmp_path, target)
        assert disk
        assert disk.device == device
        assert mount_disk(disk, target)
        assert (target / "mine").read_text() == "here"
        unmount(target)


def test_links_and_devices_on_the_disk_lead_nowhere(tmp_path: Path, target: Path) -> None:
    with disk_of(tmp_path, "ext4", "zos-cache"):
        disk, _ = find(tmp_path, target)
        assert disk
        mount_disk(disk, target)
        (target / "link").symlink_to("/etc")
        os.mknod(target / "null", 0o600 | 0o020000, os.makedev(1, 3))
        (target / "tool").write_text("#!/bin/sh\n")
        (target / "tool").chmod(0o755)
        for path in (target / "link" / "passwd", target / "null"):
            with pytest.raises(OSError, match=r"symbolic links|ermission denied"):
                path.read_bytes()
        with pytest.raises(PermissionError):
            subprocess.run([target / "tool"], check=False)
        unmount(target)


def test_a_read_only_disk_is_mounted_for_reading(tmp_path: Path, target: Path) -> None:
    image = make_image(tmp_path / "ro.img", "ext4", "cache")
    with loop_device(image, "--read-only") as device:
        announce(tmp_path / "sys", device)
        disk, _ = find(tmp_path, target)
        assert disk
        assert not mount_disk(disk, target)
        unmount(target)
