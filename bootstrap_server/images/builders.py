"""How each template image is built. A slot holds a text of a fixed size, padded with newlines.

- `usb`: a disk with one FAT partition: syslinux for BIOS, iPXE itself for UEFI.
- `iso`: a CD-ROM that is also a disk: isolinux for BIOS, a FAT image with iPXE for UEFI. The script
  stands in it twice, once for each.
- `uefi`, `uefi-arm64`, `snponly`: one program, which has the script as UTF-16 (`efi.py`).
- `krn`: one file that boots as a Linux kernel, with the script at its end (`lkrn.py`).
"""

import os
from collections.abc import Callable
from pathlib import Path

from bootstrap_server.images import disk, efi, inputs, lkrn
from bootstrap_server.images.workshop import EPOCH_S, Workshop
from bootstrap_server.script.boot import fill_slot

BLANK_SCRIPT = """\
#!ipxe
echo Zero-OS: this image has not been personalised; get one from a bootstrap server
sleep 60 ||
reboot
"""

# syslinux derives a file's type from its suffix, so iPXE must not be called .lkrn. With SERIAL,
# syslinux prints on the first serial port; iPXE does so only where firmware copies the screen.
SYSLINUX_CFG = """\
SERIAL 0 115200
DEFAULT zero-os
PROMPT 0
LABEL zero-os
  LINUX ipxe.krn
  INITRD autoexec.ipxe
"""

EFI_IMAGE_BYTES = 4 << 20  # of an ISO: one-sector clusters, FAT12 or 16
EFI_IMAGE_ID = 0x5A4F5332


def blank() -> bytes:
    """Return the slot of a template."""
    return fill_slot(BLANK_SCRIPT)


def build_usb(shop: Workshop) -> bytes:
    """Return a disk with both boot loaders and an unpersonalised script."""
    script = shop.write("autoexec.ipxe", blank())
    config = shop.write("syslinux.cfg", SYSLINUX_CFG)
    image = shop.write("partition.img", b"")
    with image.open("wb") as stream:
        stream.truncate(disk.PARTITION_SECTORS * disk.SECTOR_BYTES)
    geometry = f"{disk.HEADS}/{disk.SECTORS_PER_TRACK}"
    options = ["--invariant", "-F", "16", "-s", "1", "-h", str(disk.PARTITION_START)]
    options += ["-g", geometry, "-i", f"{disk.VOLUME_ID:08x}", "-n", disk.VOLUME_LABEL]
    shop.run("mkfs.fat", *options, image)
    files = {  # the slot first, while free space is contiguous
        "autoexec.ipxe": script,
        "EFI/BOOT/BOOTX64.EFI": shop.tree / inputs.IPXE_UEFI,
        "EFI/BOOT/BOOTAA64.EFI": shop.tree / inputs.IPXE_ARM64,
        "ipxe.krn": shop.tree / inputs.IPXE_BIOS,
        "syslinux.cfg": config,
        "ipxe.txt": shop.tree / inputs.IPXE_LICENCE,
        "syslinux.txt": shop.tree / inputs.SYSLINUX_LICENCE,
    }
    shop.fill_fat(image, files)
    shop.run("syslinux", "--install", image)
    return disk.assemble_disk(shop.read(inputs.MBR), image.read_bytes())


def build_iso(shop: Workshop) -> bytes:
    """Return a CD-ROM and disk with both boot loaders and an unpersonalised script for each."""
    script = shop.write("iso/autoexec.ipxe", blank())
    boot = shop.write("iso/efi.img", bytes(EFI_IMAGE_BYTES))
    shop.run("mkfs.fat", "--invariant", "-i", f"{EFI_IMAGE_ID:08x}", "-n", disk.VOLUME_LABEL, boot)
    programs = {
        "autoexec.ipxe": script,
        "EFI/BOOT/BOOTX64.EFI": shop.tree / inputs.IPXE_UEFI,
        "EFI/BOOT/BOOTAA64.EFI": shop.tree / inputs.IPXE_ARM64,
    }
    shop.fill_fat(boot, programs)
    shop.write("iso/ipxe.krn", shop.read(inputs.IPXE_BIOS))
    shop.write("iso/isolinux.cfg", SYSLINUX_CFG)
    shop.write("iso/ipxe.txt", shop.read(inputs.IPXE_LICENCE))
    return master_iso(shop, "iso", disk.VOLUME_LABEL).read_bytes()


def master_iso(shop: Workshop, name: str, label: str, timeout_s: float = 60) -> Path:
    """Return the hybrid ISO of the folder `name`, in which there is an `efi.img`."""
    top, output = shop.folder / name, shop.folder / f"{name}.iso"
    shop.write(f"{name}/isolinux.bin", shop.read(inputs.ISOLINUX))
    shop.write(f"{name}/ldlinux.c32", shop.read(inputs.ISOLINUX_CORE))
    shop.write(f"{name}/syslinux.txt", shop.read(inputs.SYSLINUX_LICENCE))
    options = ["-quiet", "-R", "-V", label, "-isohybrid-mbr", str(shop.tree / inputs.ISO_MBR)]
    options += ["-c", "boot.cat", "-b", "isolinux.bin", "-no-emul-boot", "-boot-load-size", "4"]
    options += ["-boot-info-table", "-eltorito-alt-boot", "-e", "efi.img", "-no-emul-boot"]
    options += ["-isohybrid-gpt-basdat", "-o", str(output)]
    for path in sorted(top.rglob("*"), reverse=True):  # a folder after what is in it
        os.utime(path, (EPOCH_S, EPOCH_S))
    os.utime(top, (EPOCH_S, EPOCH_S))
    shop.run("xorriso", "-as", "mkisofs", *options, top, timeout_s=timeout_s)
    return output


def build_efi(name: str) -> Callable[[Workshop], bytes]:
    """Return the builder of an iPXE for UEFI, a file of its package, with the script in it."""
    return lambda shop: efi.add_script(shop.read(name), efi.encode_options(blank()))


def build_krn(shop: Workshop) -> bytes:
    """Return iPXE as a Linux kernel that finds the script at its own end."""
    return lkrn.add_script(shop.read(inputs.IPXE_BIOS), blank())
