"""The master boot record, byte by byte."""

import struct

import pytest

from bootstrap_server.images import disk


def test_golden_mbr() -> None:
    mbr = disk.make_mbr(b"\xfa" * 440)
    assert len(mbr) == 512
    assert mbr[:440] == b"\xfa" * 440
    # Disk id, unused word, active FAT16 partition from 1/0/1 to 4/63/32, sectors 2048 to 10239.
    golden = "30534f5a0000" + "8000010 10e3f2004 00080000 00200000".replace(" ", "")
    assert mbr[440:462].hex() == golden
    assert mbr[462:510] == bytes(48)
    assert mbr[510:] == b"\x55\xaa"


def test_partition_ends_where_the_disk_ends() -> None:
    start, length = struct.unpack("<II", disk.make_mbr(b"")[454:462])
    assert (start + length) * disk.SECTOR_BYTES == disk.DISK_BYTES


def test_disk_is_mbr_gap_partition() -> None:
    partition = b"\x01" * (disk.PARTITION_SECTORS * disk.SECTOR_BYTES)
    whole = disk.assemble_disk(b"", partition)
    assert len(whole) == disk.DISK_BYTES <= 16 * 2**20
    assert whole.endswith(partition)
    assert not any(whole[512 : disk.PARTITION_START * disk.SECTOR_BYTES])


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="boot code"):
        disk.make_mbr(bytes(441))
    with pytest.raises(ValueError, match="partition"):
        disk.assemble_disk(b"", b"")
