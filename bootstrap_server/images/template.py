"""The template image, which is built once for each set of inputs.

Its identity is a digest of everything that goes into the build, so the cache never holds a stale
template, and two machines build the same bytes. The farm's script is a contiguous file of
`SLOT_BYTES`: a personalised image is the template with that one range of bytes replaced.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bootstrap_server.errors import TemplateError
from bootstrap_server.images import disk, inputs
from bootstrap_server.script.boot import SLOT_BYTES, fill_slot
from common.locks import hold_lock
from common.paths import cache_dir
from common.run import run
from common.scratch import scratch
from common.sealed import read_sealed, write_sealed

BUILD_DEADLINE_S = 60
LOCK_DEADLINE_S = 300
EPOCH_S = 1746057600  # 2025-05-01, the date of every file in an image
LAYOUT = 1  # raise it when the steps below change

BLANK_SCRIPT = """\
#!ipxe
echo Zero-OS: this image has not been personalised; get one from a bootstrap server
sleep 60 ||
reboot
"""

# syslinux derives a file's type from its suffix, so iPXE must not be called .lkrn. With SERIAL,
# syslinux prints on the first serial port; iPXE does so only where firmware copies the screen.
_SYSLINUX_CFG = """\
SERIAL 0 115200
DEFAULT zero-os
PROMPT 0
LABEL zero-os
  LINUX ipxe.krn
  INITRD autoexec.ipxe
"""


@dataclass(frozen=True, slots=True)
class Template:
    """A disk image in memory: `digest` is the SHA-256 of its bytes, `slot` the script's offset."""

    data: bytes
    digest: str
    slot: int


def load_template() -> Template:
    """Return this machine's template image, building it unless the cache has it undamaged."""
    found = inputs.find_inputs()
    path = cache_dir("bootstrap") / f"sealed-{identify(found.digests)[:32]}.img"
    data = read_sealed(path)
    if data is None:
        with hold_lock(path.with_suffix(".lock"), "making the template image", LOCK_DEADLINE_S):
            data = read_sealed(path)
            if data is None:
                data = build_image(found.archives)
                write_sealed(path, data)
    return open_template(data)


def open_template(data: bytes) -> Template:
    """Find the slot in a template's bytes. Raises `TemplateError` if there is not exactly one."""
    blank = fill_slot(BLANK_SCRIPT)
    slot = data.find(blank)
    if len(data) != disk.DISK_BYTES or slot < 0 or data.find(blank, slot + 1) >= 0:
        raise TemplateError("the template image has no script slot in one piece")
    return Template(data, hashlib.sha256(data).hexdigest(), slot)


def identify(digests: Mapping[str, str]) -> str:
    """Return the identity of the image that is built from files with these digests."""
    parts = [LAYOUT, EPOCH_S, SLOT_BYTES, BLANK_SCRIPT, _SYSLINUX_CFG, dict(digests)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def build_image(archives: Iterable[Path]) -> bytes:
    """Build a template image from archives of packages; the same ones give the same bytes."""
    with scratch("template") as folder:
        tree = folder / "tree"
        inputs.unpack_inputs(archives, tree)
        tools = inputs.make_tools(tree, folder / "bin")
        env = {**tools, "SOURCE_DATE_EPOCH": str(EPOCH_S)}
        partition = build_partition(folder, tree, env)
        return disk.assemble_disk((tree / inputs.MBR).read_bytes(), partition)


def build_partition(folder: Path, tree: Path, env: Mapping[str, str]) -> bytes:
    """Return the FAT16 partition with both boot loaders and an unpersonalised script."""
    texts = {"autoexec.ipxe": fill_slot(BLANK_SCRIPT), "syslinux.cfg": _SYSLINUX_CFG.encode()}
    for name, data in texts.items():
        (folder / name).write_bytes(data)
    files = {  # in this order on the disk; the slot first, while free space is contiguous
        "autoexec.ipxe": folder / "autoexec.ipxe",
        "EFI/BOOT/BOOTX64.EFI": tree / inputs.IPXE_UEFI,
        "ipxe.krn": tree / inputs.IPXE_BIOS,
        "syslinux.cfg": folder / "syslinux.cfg",
        "ipxe.txt": tree / inputs.IPXE_LICENCE,
        "syslinux.txt": tree / inputs.SYSLINUX_LICENCE,
    }
    image = folder / "partition.img"
    with image.open("wb") as stream:
        stream.truncate(disk.PARTITION_SECTORS * disk.SECTOR_BYTES)
    steps: list[list[str | Path]] = [_mkfs_call(image)]
    steps += [["mmd", "-i", image, "::/EFI", "::/EFI/BOOT"]]
    steps += [["mcopy", "-i", image, source, f"::/{name}"] for name, source in files.items()]
    steps += [["syslinux", "--install", image]]
    for step in steps:
        run(step, timeout_s=BUILD_DEADLINE_S, env=env)
    return image.read_bytes()


def _mkfs_call(image: Path) -> list[str | Path]:
    """Return the command that makes an empty FAT16 with its offset on the disk in its header."""
    geometry = f"{disk.HEADS}/{disk.SECTORS_PER_TRACK}"
    options = ["--invariant", "-F", "16", "-s", "1", "-h", str(disk.PARTITION_START)]
    options += ["-g", geometry, "-i", f"{disk.VOLUME_ID:08x}", "-n", disk.VOLUME_LABEL]
    return ["mkfs.fat", *options, image]
