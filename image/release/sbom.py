"""sbom.spdx.json: what a release contains, from which packages and under which licences."""

import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from common.debian.archive import PackageArchive
from common.debian.lock import LockedPackage
from image.formats.spdx import NO_ASSERTION, Component, encode_document, make_purl
from image.lock.dependencies import read_metadata
from image.lock.model import LockedWheel
from image.parts.kernel import find_kernel
from image.parts.licences import debian_licence, wheel_licence
from image.parts.origins import Origins
from image.parts.packages import select_paths
from image.release.listing import list_members

NAME = "sbom.spdx.json"
ARCHIVE = "https://deb.debian.org/debian"
DOC_FOLDER = "usr/share/doc"
LICENCE = "Apache-2.0"
STUBS = "usr/lib/systemd/boot/efi/*.efi.stub"  # of zos.efi


def make_sbom(
    version: str,
    identity: str,
    time: int,
    initramfs: bytes,
    archive: PackageArchive,
    wheels: Mapping[LockedWheel, Path],
) -> bytes:
    """Return the SBOM of a release: packages and wheels from which at least one file is.

    The same inputs give the same bytes; `time` is that of the files.
    """
    files = [m.name for m in list_members(initramfs) if not stat.S_ISDIR(m.mode)]
    files += [f"boot/vmlinuz-{find_kernel(archive)}", *select_paths(archive, [STUBS])]
    return list_origins("zero-os-release", version, identity, time, files, archive, wheels)


def list_origins(
    name: str,
    version: str,
    identity: str,
    time: int,
    files: Iterable[str],
    archive: PackageArchive,
    wheels: Mapping[LockedWheel, Path],
) -> bytes:
    """Return the SBOM `name` of `files`."""
    origins = Origins(archive, wheels)
    found = map(origins.find, files)
    project = version.partition("+")[0]
    own = make_purl("generic", "zero-os", version=project)
    components = [Component("generic", "zero-os", project, own, LICENCE)]
    for origin in dict.fromkeys(found):
        if isinstance(origin, LockedWheel):
            components.append(_wheel(origin, wheels[origin]))
        elif origin is not None:
            components.append(_package(origin, archive))
    return encode_document(name, version, identity, time, f"zos-image-{project}", components)


def _package(package: LockedPackage, archive: PackageArchive) -> Component:
    return Component(
        "deb",
        package.name,
        package.version,
        make_purl(
            "deb", "debian", package.name, version=package.version, arch=package.architecture
        ),
        _licence(package.name, archive),
        package.sha256,
        package.path.rpartition("/")[2],
        f"{ARCHIVE}/{package.path}",
        package.source,
    )


def _licence(name: str, archive: PackageArchive) -> str:
    """Return the licence of a package; its folder may be a link to that of another one."""
    folder = f"{DOC_FOLDER}/{name}"
    if folder in archive and archive.member(folder).issym():
        folder = f"{DOC_FOLDER}/{archive.member(folder).linkname}"
    path = f"{folder}/copyright"
    if path not in archive:
        return NO_ASSERTION
    return debian_licence(archive.read(path).decode(errors="replace"))


def _wheel(wheel: LockedWheel, place: Path) -> Component:
    purl = make_purl("pypi", wheel.name, version=wheel.version)
    licence = wheel_licence(read_metadata(place))
    return Component("pypi", wheel.name, wheel.version, purl, licence, wheel.sha256, wheel.filename)
