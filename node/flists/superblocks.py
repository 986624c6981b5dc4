"""Which file system is on a device, and what its label is, from its first blocks.

Sources of the offsets: the kernel's headers (ext4.h, btrfs_tree.h) and Microsoft's FAT description.
"""

from typing import NamedTuple

READ_BYTES = 0x10000 + 0x1000  # to the end of the superblock of btrfs
BTRFS = 0x10000
EXT4 = 0x400


class FileSystem(NamedTuple):
    """A file system that a cache can be on, as the kernel calls it."""

    kind: str
    label: str


def find_file_system(data: bytes) -> FileSystem | None:
    """Return what the first `READ_BYTES` of a device hold, None if it is nothing known."""
    if data[BTRFS + 0x40 : BTRFS + 0x48] == b"_BHRfS_M":
        return FileSystem("btrfs", read_label(data, BTRFS + 0x12B, 0x100))
    if data[EXT4 + 0x38 : EXT4 + 0x3A] == b"\x53\xef":
        return FileSystem("ext4", read_label(data, EXT4 + 0x78, 16))
    if data[510:512] == b"\x55\xaa" and data[0x52:0x57] == b"FAT32":
        return FileSystem("vfat", read_label(data, 0x47, 11))
    if data[510:512] == b"\x55\xaa" and data[0x36:0x39] == b"FAT":
        return FileSystem("vfat", read_label(data, 0x2B, 11))
    return None


def read_label(data: bytes, start: int, size: int) -> str:
    """Return a label: up to its zero byte, without the blanks of FAT."""
    return data[start : start + size].split(b"\0")[0].rstrip(b" ").decode(errors="replace")
