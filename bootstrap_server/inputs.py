"""The files of Debian packages that a template image is made of and made with.

Boot loaders and tools come from the same Debian release whatever the host is, and the tools run
with that release's own C library: the same inputs make the same bytes on every machine.
"""

import hashlib
import shlex
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from bootstrap_server.errors import TemplateError
from common.debian import fetch_packages

PACKAGES = ("dosfstools", "ipxe", "mtools", "syslinux", "syslinux-common")

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = f"{_LIBRARIES}/ld-linux-x86-64.so.2"
_MTOOLS = ("mattrib", "mcopy", "mmd", "mmove")  # one program, told apart by its name
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
    """An archive of packages, and the digests of the files that matter in it."""

    archive: Path
    digests: Mapping[str, str]


def find_inputs() -> Inputs:
    """Fetch the packages, unless the cache has them, and digest what the image depends on."""
    archive = fetch_packages(PACKAGES)
    digests = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            name = _plain_name(member)
            if name in _CONTENT and (stream := tar.extractfile(member)):
                digests[name] = hashlib.sha256(stream.read()).hexdigest()
    if missing := set(_CONTENT) - digests.keys():
        raise TemplateError(f"the packages in {archive} lack {', '.join(sorted(missing))}")
    return Inputs(archive, dict(sorted(digests.items())))


def unpack_inputs(archive: Path, folder: Path) -> None:
    """Unpack the files we use into `folder`; device nodes and all else stay where they are."""
    with tarfile.open(archive) as tar:
        for member in tar:
            name = _plain_name(member)
            if name not in _CONTENT and not name.startswith(_LIBRARIES + "/"):
                continue
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.issym():
                path.symlink_to(member.linkname)
            elif stream := tar.extractfile(member):
                path.write_bytes(stream.read())


def make_tools(tree: Path, folder: Path) -> dict[str, str]:
    """Write a starter for each tool into `folder`; return the environment that finds them."""
    folder.mkdir()
    for name, program in _PROGRAMS.items():
        words = [tree / _LOADER, "--library-path", tree / _LIBRARIES, "--argv0", name]
        call = shlex.join([*map(str, words), str(tree / program)])
        starter = folder / name
        starter.write_text(f'#!/bin/sh\nexec {call} "$@"\n')
        starter.chmod(0o755)
    (tree / _LOADER).chmod(0o755)
    return {
        "PATH": f"{folder}:/usr/bin:/bin",
        "GCONV_PATH": str(tree / _LIBRARIES / "gconv"),  # character sets for mtools
        "MTOOLSRC": "/dev/null",
        "LC_ALL": "C",
        "TZ": "UTC",
        "HOME": str(folder),
    }


def _plain_name(member: tarfile.TarInfo) -> str:
    """Return the member's path without a leading "./"; nothing that climbs out passes."""
    path = PurePosixPath(member.name)
    return "" if path.is_absolute() or ".." in path.parts else str(path)
