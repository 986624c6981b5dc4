"""What an initramfs contains: the members of all its archives, in the order of the kernel.

`zstd -dc` and `cpio -t` stop after the first of the concatenated archives.
"""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from common.text import printable
from image.efi.uki import read_sections
from image.errors import FormatError, ImageError
from image.formats.cpio import MAGIC, Member, read_archive_at

INITRAMFS = "initramfs.zst"
EFI = b"MZ"


def read_initramfs(path: Path) -> list[Member]:
    """Return all members of an initramfs; `path` is the file, a UKI, or a release's folder."""
    file = path / INITRAMFS if path.is_dir() else path
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {file}: {error.strerror}") from error
    if data.startswith(EFI):
        data = read_sections(data).get(".initrd", b"")
    return [member for archive in unpack_archives(data) for member in read_archives(archive)]


def unpack_archives(data: bytes) -> Iterator[bytes]:
    """Yield the uncompressed parts of an initramfs. Raises `FormatError`."""
    while data := data.lstrip(b"\0"):
        if data.startswith(MAGIC):  # not compressed; it is the rest
            yield data
            return
        frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            part = frame.decompress(data)
        except zstandard.ZstdError as error:
            raise FormatError(f"cannot read the initramfs: {error}") from error
        if not frame.eof:
            raise FormatError("cannot read the initramfs: it ends too early")
        yield part
        data = frame.unused_data


def read_archives(data: bytes) -> Iterator[Member]:
    """Yield the members of the archives in `data`, which follow one another."""
    at = 0
    while data[at:].strip(b"\0"):
        members, at = read_archive_at(data, at)
        yield from members


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
