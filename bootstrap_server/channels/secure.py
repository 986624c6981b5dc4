"""A disk for machines with Secure Boot: a release's signed program, and a farm's signed words.

`zos.efi` is on it byte for byte, so its maintainer's signature holds. The farm is in an add-on of
systemd's EFI stub (`common/efi/addon.py`) beside it, which the operator's key signs.
"""

import os
from pathlib import Path

from bootstrap_server.errors import NotThereError, TemplateError
from bootstrap_server.images import disk
from bootstrap_server.images.workshop import Workshop
from common.efi.authenticode import verify_image
from common.efi.errors import EfiError
from common.efi.keys import Signer
from common.efi.pe import AMD64, Image
from serving.content import OpenFile

LABEL = "ZERO-OS-SB"
LOADER = "EFI/BOOT/BOOTX64.EFI"
ADDON = f"{LOADER}.extra.d/farm.addon.efi"
MIB = 1 << 20
LEAST_BYTES, ROOM_BYTES = 32 * MIB, 8 * MIB  # of the file system; what it needs itself, and more
BUILD_HINT = "`zos image build --secure-boot-key` with the key of this server signs a release"


def check_program(file: OpenFile, signer: Signer) -> None:
    """Raise `NotThereError` unless firmware that trusts `signer` starts this program."""
    data = os.pread(file.handle, file.size, 0)
    try:
        verify_image(data, signer.certificate)
        if Image.parse(data).machine != AMD64:
            raise EfiError("the release is not for x86-64")
    except EfiError as error:
        raise NotThereError(
            f"this release can't be started with Secure Boot: {error.message}", hint=BUILD_HINT
        ) from error


def build_disk(shop: Workshop, program: Path, addon: bytes) -> Path:
    """Return a disk with one FAT partition, which UEFI boots, with a program and its add-on."""
    need = program.stat().st_size + ROOM_BYTES
    sectors = max(LEAST_BYTES, -(-need // MIB) * MIB) // disk.SECTOR_BYTES
    start = disk.PARTITION_START * disk.SECTOR_BYTES
    image = shop.write("secure.img", disk.make_mbr(b"", sectors, disk.TYPE_EFI))
    os.truncate(image, start + sectors * disk.SECTOR_BYTES)
    options = ["--invariant", "-i", f"{disk.VOLUME_ID:08x}", "-n", LABEL]
    options += ["-h", str(disk.PARTITION_START), "--offset", str(disk.PARTITION_START)]
    shop.run("mkfs.fat", *options, image, str(sectors * disk.SECTOR_BYTES // 1024))
    files = {ADDON: shop.write("farm.addon.efi", addon), LOADER: program}
    shop.fill_fat(Path(f"{image}@@{start}"), files)
    if image.stat().st_size != start + sectors * disk.SECTOR_BYTES:
        raise TemplateError("the disk for Secure Boot became larger than it should be")
    return image
