"""Labels of file systems; whatever a disk holds, there is an answer."""

import random

from node.flists.superblocks import READ_BYTES, FileSystem, find_file_system


def put(*parts: tuple[int, bytes]) -> bytes:
    """Return the first bytes of a device, with these at their offsets."""
    data = bytearray(READ_BYTES)
    for start, part in parts:
        data[start : start + len(part)] = part
    return bytes(data)


def test_labels() -> None:
    btrfs = put((0x10040, b"_BHRfS_M"), (0x1012B, b"zos-cache\0rest"))
    assert find_file_system(btrfs) == FileSystem("btrfs", "zos-cache")
    ext4 = put((0x438, b"\x53\xef"), (0x478, b"a label of 16 ch"), (0x488, b"x"))
    assert find_file_system(ext4) == FileSystem("ext4", "a label of 16 ch")
    fat32 = put((510, b"\x55\xaa"), (0x52, b"FAT32   "), (0x47, b"CACHE      "))
    assert find_file_system(fat32) == FileSystem("vfat", "CACHE")
    fat16 = put((510, b"\x55\xaa"), (0x36, b"FAT16   "), (0x2B, b"CACHE      "))
    assert find_file_system(fat16) == FileSystem("vfat", "CACHE")


def test_anything_else_is_nothing() -> None:
    assert find_file_system(b"") is None
    assert find_file_system(put((510, b"\x55\xaa"))) is None
    for seed in range(50):
        data = random.Random(seed).randbytes(READ_BYTES)
        assert find_file_system(data[: seed * 100]) is None
    label = put((0x438, b"\x53\xef"), (0x478, b"\xff\xfe"))
    assert find_file_system(label) == FileSystem("ext4", "\ufffd\ufffd")
