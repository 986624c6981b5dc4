"""EFI system partitions: disks that UEFI firmware boots from."""

from pathlib import Path

from common.run import run
from tests.helpers.needs import need_tool

MIB = 1 << 20
ROOM_BYTES = 8 * MIB  # what the file system itself needs, and more
DEADLINE_S = 120
LOADER = "EFI/BOOT/BOOTX64.EFI"


def write_esp(path: Path, binary: bytes, loader: str = LOADER) -> Path:
    """Write a FAT file system whose only program is `binary`, at `loader`; return its path."""
    need_tool("mformat")
    program = path.with_suffix(".efi")
    program.write_bytes(binary)
    with open(path, "wb") as stream:
        stream.truncate((len(binary) + ROOM_BYTES) // MIB * MIB)
    run(["mformat", "-i", path, "::"], timeout_s=DEADLINE_S)
    run(["mmd", "-i", path, "::EFI", "::EFI/BOOT"], timeout_s=DEADLINE_S)
    run(["mcopy", "-i", path, program, f"::{loader}"], timeout_s=DEADLINE_S)
    program.unlink()
    return path
