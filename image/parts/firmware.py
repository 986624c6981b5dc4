"""Firmware that kernel modules name, out of Debian's packages, and processors' microcode."""

import lzma
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from common.debian.archive import PackageArchive
from image.errors import ImageError
from image.model import Directory, File, Symlink
from image.parts.packages import read_entry, select_paths
from image.tree import Tree, matches

FOLDER = "usr/lib/firmware"
# Documentation/arch/x86/microcode.rst: an uncompressed archive before all others.
MICROCODE_FOLDER = "kernel/x86/microcode"
MICROCODE = {
    "GenuineIntel.bin": "intel-ucode/*",
    "AuthenticAMD.bin": "amd-ucode/microcode_amd*.bin",
}
LINKS_MAX = 8
PIECE_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Lack:
    """A module that names firmware for which no package has a file."""

    module: str
    name: str
    is_known: bool  # the profile says that Debian does not have it


def find_lacks(
    named: Mapping[str, Iterable[str]], archive: PackageArchive, absent: Iterable[str]
) -> list[Lack]:
    """Return the names of firmware without a file, by module; `named` has each module's names."""
    known = list(absent)
    return [
        Lack(module, name, matches(name, known))
        for module, names in sorted(named.items())
        for name in sorted(set(names))
        if not _paths(archive, name)
    ]


def collect_firmware(named: Iterable[str], archive: PackageArchive) -> Tree:
    """Return the files of the names in `named` that the packages have, compressed one by one.

    The kernel looks for NAME, then NAME.zst and NAME.xz (CONFIG_FW_LOADER_COMPRESS): so a file
    takes memory for its compressed size only, until its driver asks for it.
    """
    tree = Tree()
    for name in sorted(set(named)):
        for path in _paths(archive, name):
            _add(archive, path, tree)
    return tree


def collect_microcode(archive: PackageArchive) -> Tree:
    """Return the processors' microcode as the kernel reads it before it has a file system."""
    tree = Tree()
    for name, pattern in MICROCODE.items():
        paths = select_paths(archive, [f"{FOLDER}/{pattern}"])
        if not paths:
            raise ImageError(f"cannot find microcode ({pattern}) among the packages")
        content = b"".join(archive.read(path) for path in paths)
        tree.add(f"{MICROCODE_FOLDER}/{name}", File(content))
    return tree


def free_microcode() -> Tree:
    """Return entries that make the kernel remove the microcode from the root file system.

    It unpacks the first archive like the others, which would cost memory as long as the node runs.
    A later entry of another type replaces a file.
    """
    tree = Tree()
    for name in MICROCODE:
        tree.add(f"{MICROCODE_FOLDER}/{name}", Symlink("/dev/null"))
    return tree


def _paths(archive: PackageArchive, name: str) -> list[str]:
    """Return the paths of a name, which may be a glob, that lead to a file."""
    path = f"{FOLDER}/{name}"
    found = select_paths(archive, [path]) if "*" in name else [path]
    return [one for one in found if one in archive and _steps(archive, one)]


def _steps(archive: PackageArchive, path: str) -> list[str]:
    """Return `path` and the links' targets after it up to a file; none for a broken link."""
    steps = [path]
    for _ in range(LINKS_MAX):
        if steps[-1] not in archive:
            return []
        entry = archive.member(steps[-1])
        if not entry.issym():
            return [] if entry.isdir() else steps
        steps.append(_beside(steps[-1], entry.linkname))
    return []


def _beside(path: str, target: str) -> str:
    """Return the path that a link at `path` leads to."""
    parts = [] if target.startswith("/") else path.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _add(archive: PackageArchive, path: str, tree: Tree) -> None:
    for step in _steps(archive, path):
        if f"{step}.xz" in tree:
            continue
        entry = read_entry(archive, step)
        assert not isinstance(entry, Directory)
        if isinstance(entry, Symlink):
            tree.add(f"{step}.xz", Symlink(f"{entry.target}.xz"))
        elif isinstance(entry, File):
            tree.add(f"{step}.xz", File(pack(entry.content)))


def pack(data: bytes) -> bytes:
    """Return `data` in the form that the kernel's decoder of xz takes: CRC32, small dictionary.

    It is done in pieces, since Ctrl-C can't interrupt a call of the library.
    """
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 20}]
    packer = lzma.LZMACompressor(lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters)
    starts = range(0, len(data), PIECE_BYTES)
    pieces = [packer.compress(data[at : at + PIECE_BYTES]) for at in starts]
    return b"".join([*pieces, packer.flush()])
