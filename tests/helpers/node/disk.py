"""A disk image on a loop device, with a file system."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.needs import need_root, need_tool

SIZE = 128 << 20  # the least for btrfs
MAKERS = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-L"),
    "btrfs": ("mkfs.btrfs", "-q", "-f", "-L"),
    "vfat": ("mkfs.vfat", "-F", "32", "-n"),
}


def make_image(path: Path, kind: str, label: str, size: int = SIZE) -> Path:
    """Write an image with a file system; return its path."""
    tool, *options = MAKERS[kind]
    with open(path, "wb") as stream:
        stream.truncate(size)
    call = [need_tool(tool), *options, label, str(path)]
    subprocess.run(call, check=True, timeout=60, capture_output=True)
    return path


@contextlib.contextmanager
def loop_device(image: Path, *options: str) -> Iterator[Path]:
    """Attach an image to a loop device; yield that."""
    need_root()
    call = [need_tool("losetup"), "--find", "--show", *options, str(image)]
    done = subprocess.run(call, check=True, timeout=60, capture_output=True, text=True)
    device = Path(done.stdout.strip())
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", str(device)], check=False, timeout=60)


def announce(folder: Path, device: Path, partition: str = "") -> None:
    """Add a device to a folder that stands in for /sys/class/block."""
    words = f"DEVNAME={device.name}\nDEVTYPE={'partition' if partition else 'disk'}\n"
    words += f"PARTNAME={partition}\n" if partition else ""
    (folder / device.name).mkdir(parents=True)
    (folder / device.name / "uevent").write_text(words)
