"""A disk with an MBR and one FAT partition: its layout, and the bytes of the MBR.

Format of the MBR: UEFI specification 2.10, section 5.2.1; BIOSes use the same table.
"""

import struct

SECTOR_BYTES = 512
# Cylinders of 1 MiB: the geometry that a BIOS derives from such a partition table.
HEADS = 64
SECTORS_PER_TRACK = 32
PARTITION_START = 2048  # sectors
PARTITION_SECTORS = 8192  # 4 MiB: enough one-sector clusters for FAT16
DISK_BYTES = (PARTITION_START + PARTITION_SECTORS) * SECTOR_BYTES
DISK_ID = 0x5A4F5330
VOLUME_ID = 0x5A4F5331
VOLUME_LABEL = "ZERO-OS"

_BOOT_CODE_BYTES = 440
_ACTIVE = 0x80
TYPE_FAT16, TYPE_EFI = 0x0E, 0xEF


def make_mbr(boot_code: bytes, sectors: int = PARTITION_SECTORS, kind: int = TYPE_FAT16) -> bytes:
    """Return the first sector: `boot_code`, our disk id, one active partition, the signature."""
    if len(boot_code) > _BOOT_CODE_BYTES:
        raise ValueError(f"boot code of {len(boot_code)} bytes")
    last = PARTITION_START + sectors - 1
    entry = struct.pack(
        "<B3sB3sII",
        _ACTIVE,
        _chs(PARTITION_START),
        kind,
        _chs(last),
        PARTITION_START,
        sectors,
    )
    head = boot_code.ljust(_BOOT_CODE_BYTES, b"\0") + struct.pack("<IH", DISK_ID, 0)
    return head + entry.ljust(64, b"\0") + b"\x55\xaa"


def assemble_disk(boot_code: bytes, partition: bytes) -> bytes:
    """Return the bytes of the whole disk."""
    if len(partition) != PARTITION_SECTORS * SECTOR_BYTES:
        raise ValueError(f"partition of {len(partition)} bytes")
    return make_mbr(boot_code).ljust(PARTITION_START * SECTOR_BYTES, b"\0") + partition


def _chs(sector: int) -> bytes:
    """Return a sector number as cylinder, head and sector, packed as in a partition table."""
    track, sector_in_track = divmod(sector, SECTORS_PER_TRACK)
    cylinder, head = divmod(track, HEADS)
    return bytes((head, (sector_in_track + 1) | (cylinder >> 2 & 0xC0), cylinder & 0xFF))
