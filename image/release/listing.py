"""What an initramfs contains: the members of all its archives, in the order of the kernel.

`zstd -dc` unpacks them all; `cpio -t` stops after each, and lists the next when it is called again.
"""

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from common.text import printable
from image.efi.uki import read_sections
from image.errors import FormatError, ImageError
from image.formats.cpio import MAGIC, Member, read_archive_at

INITRAMFS = "initramfs.zst"
EFI = b"MZ"
PADDING = re.compile(rb"\0*")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an initramfs: its members, and its size in the file."""

    members: list[Member]
    packed_bytes: int


def read_initramfs(path: Path) -> list[Member]:
    """Return all members of an initramfs; `path` is the file, a UKI, or a release's
    folder."""
    return [member for part in read_parts(path) for member in part.members]


def read_parts(path: Path) -> list[Part]:
    """Return the parts of an initramfs, each compressed for itself or not at all."""
    file = path / INITRAMFS if path.is_dir() else path
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {file}: {error.strerror}") from error
    if data.startswith(EFI):
        data = read_sections(data).get(".initrd", b"")
    return list(split_parts(data))


def list_members(data: bytes) -> list[Member]:
    """Return the members of all parts of an initramfs. Raises `FormatError`."""
    return [member for part in split_parts(data) for member in part.members]


def split_parts(data: bytes) -> Iterator[Part]:
    """Yield the parts of an initramfs in order. Raises `FormatError`."""
    while data := data.lstrip(b"\0"):
        if data.startswith(MAGIC):
            members, end = read_archive_at(data, 0)
            yield Part(members, end)
            data = data[end:]
            continue
        frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            unpacked = frame.decompress(data)
        except zstandard.ZstdError as error:
            raise FormatError(f"cannot read the initramfs: {error}") from error
        if not frame.eof:
            raise FormatError("cannot read the initramfs: it ends too early")
        yield Part(list(read_archives(unpacked)), len(data) - len(frame.unused_data))
        data = frame.unused_data


def read_archives(data: bytes) -> Iterator[Member]:
    """Yield the members of the archives in `data`, which follow one another, padded."""
    at = 0
    while (at := skip_padding(data, at)) < len(data):
        members, at = read_archive_at(data, at)
        yield from members


def skip_padding(data: bytes, at: int) -> int:
    """Return the offset of the first byte from `at` on that is not zero."""
    found = PADDING.match(data, at)
    return found.end() if found else at


def describe_member(member: Member) -> dict[str, Any]:
    """Return one member as a JSON object."""
    value: dict[str, Any] = {
        "path": member.name,
        "mode": f"{member.mode:o}",
        "uid": member.uid,
        "gid": member.gid,
        "mtime": member.mtime,
    }
    if stat.S_ISLNK(member.mode):
        value["target"] = member.content.decode(errors="surrogateescape")
    elif stat.S_ISREG(member.mode):
        value["size"] = len(member.content)
    elif member.device != (0, 0):
        value["device"] = list(member.device)
    return value


def render_member(member: Member) -> str:
    """Return one member as a line for people, as `ls -l` has it."""
    size = str(len(member.content))
    name = printable(member.name)
    if stat.S_ISLNK(member.mode):
        name += f" -> {printable(member.content.decode(errors='surrogateescape'))}"
    elif member.device != (0, 0):
        size = "{},{}".format(*member.device)
    return f"{stat.filemode(member.mode)} {member.uid}:{member.gid} {size:>9} {name}\n"
