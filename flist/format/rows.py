"""Turns the rows of a `.fl` file into values and checks each one: a file may come from anywhere.

Every function here raises `FormatError` if a value breaks a rule of the format.
"""

import stat
import struct
from collections.abc import Sequence
from typing import Any

from flist.errors import FormatError
from flist.model import HASH_BYTES, NAME_MAX_BYTES, NS, ROOT_INO, Block, Extent, Inode

MAX_XATTR_BYTES = 64 * 1024
MAX_TARGET_BYTES = 4095
FILE_TYPES = frozenset(
    (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO,
     stat.S_IFSOCK)
)  # fmt: skip
MAX_INO = 1 << 40
MAX_TIME = (1 << 63) - 1
"""In seconds, the kernel's range: every time that `pack` finds must be readable again."""
NUMBERS = struct.Struct("<QqQIIHQqqQQQI")
"""The ranges of an inode's numbers, in the order of `read_inode`."""
EXTENT = struct.Struct("<QQ")


def read_inode(row: tuple[Any, ...]) -> Inode:
    """Return the inode of a row of `FlistFile.select`."""
    ino, parent, name, size, uid, gid, mode, rdev, ctime, mtime, raw, cns, mns, same_as, links = row
    cns, mns, same_as, links = cns or 0, mns or 0, same_as or 0, links or 1
    try:  # one call checks all types and most ranges, in half the time of single checks
        NUMBERS.pack(
            ino, parent, size, uid, gid, mode, rdev, ctime, mtime, cns, mns, same_as, links
        )
    except struct.error as error:
        raise FormatError(
            f"inode {ino!r} has a value that is not a number or is out of range"
        ) from error
    if not 0 < ino < MAX_INO or same_as >= MAX_INO:
        raise FormatError(f"inode {ino} has a number out of range")
    if not -MAX_TIME < ctime < MAX_TIME or not -MAX_TIME < mtime < MAX_TIME:
        raise FormatError(f"inode {ino} has a time out of range")
    if stat.S_IFMT(mode) not in FILE_TYPES:
        raise FormatError(f"inode {ino} has an unknown file type")
    if ino != ROOT_INO:
        name = check_name(ino, name if raw is None else raw)
    return Inode(
        ino, parent, name, size, uid, gid, mode, rdev,
        ctime * NS + cns % NS, mtime * NS + mns % NS, same_as, links,
    )  # fmt: skip


def check_name(ino: int, name: object) -> bytes:
    """Return `name` if it may be the name of a directory entry."""
    if not isinstance(name, bytes) or not 0 < len(name) <= NAME_MAX_BYTES:
        raise FormatError(f"inode {ino} has a name that is empty or too long")
    if b"/" in name or b"\0" in name or name in (b".", b".."):
        raise FormatError(f"inode {ino} has a forbidden name {name!r}")
    return name


def read_block(row: Sequence[Any], checks: bytes = b"", index: int = 0) -> Block:
    """Return the block of an (id, key) row, the file's chunk `index`.

    `checks` are those of all the file's blocks, joined, or empty.
    """
    block_id, key = row
    for value in (block_id, key):
        if not isinstance(value, bytes) or len(value) != HASH_BYTES:
            raise FormatError("a block's id or key is not 32 bytes")
    check = checks[index * HASH_BYTES : (index + 1) * HASH_BYTES]
    if checks and len(check) != HASH_BYTES:
        raise FormatError("a file has fewer checks than blocks")
    return Block(block_id, key, check)


def read_extents(value: object) -> tuple[Extent, ...]:
    """Return the data ranges of a sparse file: sorted, without overlaps."""
    data = read_bytes(value, "extents")
    if len(data) % EXTENT.size:
        raise FormatError("the data ranges of a file are cut off")
    extents = tuple(Extent(start, length) for start, length in EXTENT.iter_unpack(data))
    end = 0
    for extent in extents:
        if extent.start < end:
            raise FormatError("the data ranges of a file overlap")
        end = extent.start + extent.length
    if end >= 2**63:
        raise FormatError("a data range of a file is out of range")
    return extents


def read_target(value: object) -> bytes:
    """Return `value` if it may be the target of a symbolic link."""
    target = read_bytes(value, "extra.data")
    if len(target) > MAX_TARGET_BYTES or b"\0" in target:
        raise FormatError("a link's target is too long or holds a zero byte")
    return target


def read_xattr(row: Sequence[Any]) -> tuple[bytes, bytes]:
    """Return the extended attribute of a (name, value) row."""
    name, value = row
    return read_xattr_name(name), read_xattr_value(value)


def read_xattr_name(value: object) -> bytes:
    """Return `value` if it may be the name of an extended attribute."""
    name = read_bytes(value, "xattr")
    if not 0 < len(name) <= NAME_MAX_BYTES or b"\0" in name:
        raise FormatError("an extended attribute has a forbidden name")
    return name


def read_xattr_value(value: object) -> bytes:
    """Return `value` if it may be the value of an extended attribute."""
    data = read_bytes(value, "xattr")
    if len(data) > MAX_XATTR_BYTES:
        raise FormatError("an extended attribute is too large")
    return data


def read_int(value: object, what: str) -> int:
    """Return `value` if it is an integer; `what` names the column in the error."""
    if type(value) is not int:
        raise FormatError(f"{what} contains a value that is not a number")
    return value


def read_bytes(value: object, what: str) -> bytes:
    """Return `value` if it is bytes; `what` names the column in the error."""
    if not isinstance(value, bytes):
        raise FormatError(f"{what} contains a value that is not bytes")
    return value


def read_text(value: object, what: str) -> str:
    """Return `value` as text if it is UTF-8; `what` names the column in the error."""
    try:
        return read_bytes(value, what).decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{what} is not UTF-8") from error
