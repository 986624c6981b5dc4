"""The files of Debian packages that a template image contains and is built with.

Boot loaders and tools come from the same Debian release on every host, and the tools run with
that release's C library, so the same inputs give the same bytes on every machine.
"""

import hashlib
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bootstrap_server.errors import TemplateError
from common.debian.archive import open_archive
from common.debian.fetch import fetch_packages
from common.debian.programs import LIBRARY_FOLDER, program_call

PACKAGES = ("dosfstools", "ipxe", "mtools", "syslinux", "syslinux-common")

_MTOOLS = ("mattrib", "mcopy", "mmd", "mmove")  # one program, which looks at its name
_PROGRAMS = {
    "mkfs.fat": "usr/sbin/mkfs.fat",
    "syslinux": "usr/bin/syslinux",
    **dict.fromkeys(_MTOOLS, "usr/bin/mtools"),
}
MBR = "usr/lib/syslinux/mbr/mbr.bin"
IPXE_BIOS = "usr/lib/ipxe/ipxe.lkrn"
IPXE_UEFI = "usr/lib/ipxe/ipxe-amd64.efi"
IPXE_LICENCE = "usr/share/doc/ipxe/copyright"
SYSLINUX_LICENCE = "usr/share/doc/syslinux/copyright"

# What an image's content depends on. The C library is needed, but leaves no trace in the result.
_CONTENT = tuple(
    sorted({MBR, IPXE_BIOS, IPXE_UEFI, IPXE_LICENCE, SYSLINUX_LICENCE, *_PROGRAMS.values()})
)


class Inputs(NamedTuple):
    """An archive of packages, and the SHA-256 of each file in it that the image depends on."""

    archive: Path
    digests: Mapping[str, str]


def find_inputs() -> Inputs:
    """Fetch the packages, unless the cache has them, and digest what the image depends on."""
    path = fetch_packages(PACKAGES)
    with open_archive(path) as archive:
        if missing := [name for name in _CONTENT if name not in archive]:
            raise TemplateError(f"the packages in {path} lack {', '.join(missing)}")
        digests = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in _CONTENT}
    return Inputs(path, digests)


def unpack_inputs(path: Path, folder: Path) -> None:
    """Unpack the image's files, the tools and their libraries into `folder`."""
    with open_archive(path) as archive:
        libraries = [name for name in archive.paths if name.startswith(f"{LIBRARY_FOLDER}/")]
        archive.unpack([*_CONTENT, *libraries], folder)


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
