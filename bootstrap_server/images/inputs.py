"""The files of Debian packages that template images contain and are built with.

They are locked in boot.lock, and the tools run with their own C library, so the same inputs give
the same bytes on every machine. iPXE is Debian testing's, whose versions a mirror keeps only for
weeks; when the locked one is nowhere to be had, Debian 13's takes its place.
"""

import hashlib
import logging
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from bootstrap_server.errors import TemplateError
from common.debian.archive import open_archive
from common.debian.fetch import fetch_locked, fetch_or_resolve
from common.debian.lock import DebianLock, load_sections, parse_lock
from common.debian.pool import GoneError
from common.debian.programs import LIBRARY_FOLDER, program_call

LOCK = Path(__file__).with_name("boot.lock")
TOOLS, IPXE, OLDER_IPXE = "tools", "ipxe", "older-ipxe"
_PACKAGES = ("dosfstools", "grub-common", "grub-efi-amd64-bin", "isolinux", "mtools", "syslinux")
# The sections of the lock file: a suite of Debian, and packages of it.
REQUESTS = {
    TOOLS: ("trixie", (*_PACKAGES, "syslinux-common", "xorriso")),
    IPXE: ("forky", ("ipxe",)),
    OLDER_IPXE: ("trixie", ("ipxe",)),
}
LOG = logging.getLogger(__name__)

_MTOOLS = ("mattrib", "mcopy", "mmd", "mmove")  # one program, which looks at its name
_PROGRAMS = {
    "grub-mkimage": "usr/bin/grub-mkimage",
    "mkfs.fat": "usr/sbin/mkfs.fat",
    "syslinux": "usr/bin/syslinux",
    "xorriso": "usr/bin/xorriso",
    **dict.fromkeys(_MTOOLS, "usr/bin/mtools"),
}
MBR = "usr/lib/syslinux/mbr/mbr.bin"
ISO_MBR = "usr/lib/ISOLINUX/isohdpfx.bin"
ISOLINUX = "usr/lib/ISOLINUX/isolinux.bin"
ISOLINUX_CORE = "usr/lib/syslinux/modules/bios/ldlinux.c32"
GRUB = "usr/lib/grub/x86_64-efi"
IPXE_BIOS = "usr/lib/ipxe/ipxe.lkrn"
IPXE_UEFI = "usr/lib/ipxe/ipxe-amd64.efi"
IPXE_ARM64 = "usr/lib/ipxe/ipxe-arm64.efi"
SNPONLY = "usr/lib/ipxe/snponly.efi"
UEFI_PROGRAMS = (IPXE_UEFI, IPXE_ARM64, SNPONLY)
IPXE_LICENCE = "usr/share/doc/ipxe/copyright"
SYSLINUX_LICENCE = "usr/share/doc/syslinux/copyright"
GRUB_LICENCE = "usr/share/doc/grub-common/copyright"

# What GRUB needs to start Linux from an ISO; then, what these modules need (moddep.lst).
GRUB_MODULES: tuple[str, ...] = (
    *("boot", "configfile", "echo", "fat", "iso9660", "linux", "normal", "part_gpt"),
    *("part_msdos", "reboot", "search", "search_label", "sleep"),
)
_GRUB_FILES = (
    *("kernel.img", "moddep.lst"),
    *(f"{name}.mod" for name in GRUB_MODULES),
    *("bufio.mod", "crypto.mod", "datetime.mod", "extcmd.mod", "fshelp.mod", "gettext.mod"),
    *("mmap.mod", "net.mod", "priority_queue.mod", "relocator.mod", "search_fs_file.mod"),
    *("search_fs_uuid.mod", "terminal.mod", "video.mod"),
)

# What an image's content depends on. The C library is needed, but leaves no trace in the result.
_CONTENT = tuple(
    sorted(
        {
            *(MBR, ISO_MBR, ISOLINUX, ISOLINUX_CORE),
            *(IPXE_BIOS, IPXE_UEFI, IPXE_ARM64, SNPONLY),
            *(IPXE_LICENCE, SYSLINUX_LICENCE, GRUB_LICENCE),
            *_PROGRAMS.values(),
            *(f"{GRUB}/{name}" for name in _GRUB_FILES),
        }
    )
)


class Inputs(NamedTuple):
    """Archives of packages, and the SHA-256 of each file in them that the image depends on.

    The digests also have the version of iPXE.
    """

    archives: tuple[Path, ...]
    digests: Mapping[str, str]


def find_inputs() -> Inputs:
    """Fetch the packages, unless the cache has them, and digest what the image depends on."""
    locks = read_locks()
    _, tools = fetch_or_resolve(locks[TOOLS], warn=LOG.warning)
    lock, ipxe = find_ipxe(locks[IPXE], locks[OLDER_IPXE])
    digests = {IPXE: ipxe_version(lock)}
    for path in (tools, ipxe):
        with open_archive(path) as archive:
            found = [name for name in _CONTENT if name in archive]
            digests |= {name: hashlib.sha256(archive.read(name)).hexdigest() for name in found}
    if missing := [name for name in _CONTENT if name not in digests]:
        raise TemplateError(f"the packages in {tools} and {ipxe} lack {', '.join(missing)}")
    return Inputs((tools, ipxe), digests)


def read_locks() -> dict[str, DebianLock]:
    """Return the locks of the boot packages, by section."""
    sections = load_sections(LOCK, REQUESTS)
    return {name: parse_lock(table, f"{LOCK}, {name}") for name, table in sections.items()}


def find_ipxe(newer: DebianLock, older: DebianLock) -> tuple[DebianLock, Path]:
    """Return the lock of the iPXE to use, and its archive; the older one is only a substitute."""
    try:
        return newer, fetch_locked(newer)
    except GoneError as error:
        LOG.warning("%s. iPXE %s is used", error.message, ipxe_version(older))
    return fetch_or_resolve(older, warn=LOG.warning)


def ipxe_version(lock: DebianLock) -> str:
    """Return the version of iPXE in a lock."""
    return next(row.version for row in lock.packages if row.name == "ipxe")


def unpack_inputs(paths: Iterable[Path], folder: Path) -> None:
    """Unpack the image's files, the tools and their libraries into `folder`."""
    for path in paths:
        with open_archive(path) as archive:
            names = [name for name in _CONTENT if name in archive]
            names += [name for name in archive.paths if name.startswith(f"{LIBRARY_FOLDER}/")]
            archive.unpack(names, folder)


def make_tools(tree: Path, folder: Path) -> dict[str, str]:
    """Write a start script for each tool into `folder`; return the environment that finds them."""
    folder.mkdir()
    for name, program in _PROGRAMS.items():
        call = shlex.join(map(str, program_call(tree, program, name)))
        starter = folder / name
        starter.write_text(f'#!/bin/sh\nexec {call} "$@"\n')
        starter.chmod(0o755)
    return {
        "PATH": f"{folder}:/usr/bin:/bin",
        "GCONV_PATH": str(tree / LIBRARY_FOLDER / "gconv"),  # character sets for mtools
        "MTOOLSRC": "/dev/null",
        "LC_ALL": "C",
        "TZ": "UTC",
        "HOME": str(folder),
    }
