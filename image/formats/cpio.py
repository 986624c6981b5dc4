"""The newc cpio archive, which the kernel unpacks as its initial root file system.

Format: Documentation/driver-api/early-userspace/buffer-format.rst of the Linux kernel, and cpio(5).
The output of `write_archive` depends only on the tree and the time: entries are sorted by path,
inode numbers count from 1, every time is `mtime`. Paths with the same `File` object share an inode
number, and the last of them carries the content, as in GNU cpio. An archive is padded to whole
blocks, as GNU cpio reads them, so that it can list archives that follow one another.
"""

import stat
from dataclasses import dataclass

from image.errors import FormatError
from image.model import Device, Directory, Entry, File, Symlink
from image.tree import Tree

MAGIC = b"070701"
HEADER_BYTES = 110
BLOCK_BYTES = 512
TRAILER = "TRAILER!!!"
KINDS = {"c": stat.S_IFCHR, "b": stat.S_IFBLK}


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive: header and content."""

    name: str
    inode: int
    mode: int
    uid: int
    gid: int
    links: int
    mtime: int
    device: tuple[int, int]
    content: bytes


def write_archive(tree: Tree, mtime: int) -> bytes:
    """Return `tree` as an archive; `mtime` is in seconds since 1970."""
    inodes: dict[int, int] = {}
    links: dict[int, int] = {}
    for _, file in tree.files():
        links[id(file)] = links.get(id(file), 0) + 1
    left = dict(links)
    pieces: list[bytes] = []
    for path, entry in tree.items():
        key = id(entry) if isinstance(entry, File) else id(path)
        inode = inodes.setdefault(key, len(inodes) + 1)
        left[key] = left.get(key, 1) - 1
        content = _content(entry) if left[key] == 0 else b""
        member = _member(path, entry, inode, links.get(key, 1), mtime, content)
        pieces.append(_encode(member))
    pieces.append(_encode(Member(TRAILER, 0, 0, 0, 0, 1, 0, (0, 0), b"")))
    return _pad(b"".join(pieces), BLOCK_BYTES)


def read_archive(data: bytes) -> list[Member]:
    """Return the members of the first archive in `data`, without its trailer.

    Raises `FormatError` if the bytes are not a newc archive or end too early.
    """
    return read_archive_at(data, 0)[0]


def read_archive_at(data: bytes, start: int) -> tuple[list[Member], int]:
    """Return the members of the archive that begins at `start`, and the offset of its end."""
    members: list[Member] = []
    offset = start
    while True:
        member, offset = _decode(data, offset)
        if member.name == TRAILER:
            return members, offset
        members.append(member)


def _member(path: str, entry: Entry, inode: int, links: int, mtime: int, content: bytes) -> Member:
    device = (entry.major, entry.minor) if isinstance(entry, Device) else (0, 0)
    count = 2 if isinstance(entry, Directory) else links
    return Member(path, inode, _mode(entry), entry.uid, entry.gid, count, mtime, device, content)


def _mode(entry: Entry) -> int:
    match entry:
        case File():
            return stat.S_IFREG | entry.mode
        case Directory():
            return stat.S_IFDIR | entry.mode
        case Symlink():
            return stat.S_IFLNK | 0o777
        case Device():
            return KINDS[entry.kind] | entry.mode


def _content(entry: Entry) -> bytes:
    if isinstance(entry, File):
        return entry.content
    return entry.target.encode() if isinstance(entry, Symlink) else b""


def _encode(member: Member) -> bytes:
    name = member.name.encode() + b"\0"
    numbers = (
        member.inode, member.mode, member.uid, member.gid, member.links, member.mtime,
        len(member.content), 0, 0, *member.device, len(name), 0,
    )  # fmt: skip
    header = MAGIC + b"".join(b"%08X" % number for number in numbers)
    return _pad(header + name) + _pad(member.content)


def _pad(data: bytes, unit: int = 4) -> bytes:
    return data + b"\0" * (-len(data) % unit)


def _decode(data: bytes, offset: int) -> tuple[Member, int]:
    header = data[offset : offset + HEADER_BYTES]
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        raise FormatError(f"cannot read the archive: no header at byte {offset}")
    try:
        numbers = [int(header[at : at + 8], 16) for at in range(6, HEADER_BYTES, 8)]
    except ValueError as error:
        raise FormatError(f"cannot read the archive: bad number at byte {offset}") from error
    inode, mode, uid, gid, links, mtime, size, _, _, major, minor, name_size, _ = numbers
    name_at = offset + HEADER_BYTES
    content_at = name_at + name_size + (-(HEADER_BYTES + name_size) % 4)
    name = data[name_at : name_at + name_size]
    content = data[content_at : content_at + size]
    if len(content) != size or not name.endswith(b"\0"):
        raise FormatError(f"cannot read the archive: it ends inside the entry at byte {offset}")
    text = name[:-1].decode(errors="surrogateescape")
    member = Member(text, inode, mode, uid, gid, links, mtime, (major, minor), content)
    return member, content_at + size + (-size % 4)
