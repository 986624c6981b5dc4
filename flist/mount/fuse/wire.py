"""The part of the kernel's FUSE protocol that a read-only file system needs. Pure, no I/O.

Source: include/uapi/linux/fuse.h, protocol 7.31 and later. The structures are little-endian, as
the machines are that we support.
"""

import stat
import struct
from struct import Struct
from typing import NamedTuple

from flist.model import NS, Inode

FUSE_TIMEOUT_S = 365 * 24 * 3600
"""How long the kernel may cache names and attributes. A mounted flist does not change; `remount`
invalidates what it replaces."""

LOOKUP, FORGET, GETATTR, READLINK, OPEN, READ, STATFS = 1, 2, 3, 5, 14, 15, 17
GETXATTR, LISTXATTR, INIT, OPENDIR, READDIR, INTERRUPT = 22, 23, 26, 27, 28, 36
DESTROY, BATCH_FORGET, READDIRPLUS, LSEEK = 38, 42, 44, 46
NO_REPLY = frozenset((FORGET, BATCH_FORGET, DESTROY))

MAJOR, MINOR = 7, 36
ASYNC_READ = 1 << 0
DO_READDIRPLUS = 1 << 13
NO_OPEN_SUPPORT = 1 << 17
PARALLEL_DIROPS = 1 << 18
POSIX_ACL = 1 << 20
MAX_PAGES = 1 << 22
CACHE_SYMLINKS = 1 << 23
NO_OPENDIR_SUPPORT = 1 << 24
WANTED = (
    ASYNC_READ | DO_READDIRPLUS | NO_OPEN_SUPPORT | PARALLEL_DIROPS | MAX_PAGES | CACHE_SYMLINKS
    | NO_OPENDIR_SUPPORT
)  # fmt: skip
NOTIFY_INVAL_INODE, NOTIFY_INVAL_ENTRY = 2, 3
PAGES_PER_REQUEST = 256
MAX_BACKGROUND = 64

IN_HEADER = Struct("<4xIQQ16x")
OUT_HEADER = Struct("<IiQ")
INIT_IN = Struct("<IIII")
INIT_OUT = Struct("<IIIIHHIIHHIIH22x")
READ_IN = Struct("<QQII")
LSEEK_IN = Struct("<QQI")
LSEEK_OUT = Struct("<Q")
SIZE_IN = Struct("<II")
UNIQUE_IN = Struct("<Q")
FORGET_IN = Struct("<Q")
BATCH_FORGET_IN = Struct("<II")
FORGET_ONE = Struct("<QQ")
STATFS_OUT = Struct("<QQQQQIII28x")
ATTR = "QQQQQQIIIIIIIIII"
ENTRY_OUT = Struct("<QQQQII" + ATTR)
ATTR_OUT = Struct("<QII" + ATTR)
DIRENT = Struct("<QQII")
DIRENT_PLUS = Struct("<QQQQII" + ATTR + "QQII")
BLOCK_BYTES = 4096
PADDING = tuple(b"\0" * (-length % 8) for length in range(256))


class Request(NamedTuple):
    """One request from the kernel; `body` is valid only until the next request is read."""

    opcode: int
    unique: int
    nodeid: int
    body: memoryview


def parse_request(buffer: memoryview) -> Request:
    """Return the request in `buffer`."""
    opcode, unique, nodeid = IN_HEADER.unpack_from(buffer)
    return Request(opcode, unique, nodeid, buffer[IN_HEADER.size :])


def parse_forget(request: Request) -> list[tuple[int, int]]:
    """Return the nodes that the kernel forgets, each with the number of lookups to take back."""
    if request.opcode == FORGET:
        return [(request.nodeid, *FORGET_IN.unpack_from(request.body))]
    count, _ = BATCH_FORGET_IN.unpack_from(request.body)
    start = BATCH_FORGET_IN.size
    return list(FORGET_ONE.iter_unpack(request.body[start : start + count * FORGET_ONE.size]))


def init_reply(body: memoryview, wanted: int) -> bytes:
    """Return the reply to INIT: the features that the kernel offers and we want."""
    major, minor, read_ahead, offered = INIT_IN.unpack_from(body)
    if major != MAJOR:  # a newer kernel sends INIT again with our version
        return INIT_OUT.pack(MAJOR, MINOR, 0, 0, 0, 0, BLOCK_BYTES, 1, 0, 0, 0, 0, 0)
    return INIT_OUT.pack(
        MAJOR, min(minor, MINOR), read_ahead, offered & wanted, MAX_BACKGROUND,
        MAX_BACKGROUND * 3 // 4, BLOCK_BYTES, 1, PAGES_PER_REQUEST, 0, 0, 0, 0,
    )  # fmt: skip


def attributes(inode: Inode, nlink: int, blocks: int) -> tuple[int, ...]:
    """Return the fields of struct fuse_attr. Times before 1970 wrap, as the kernel expects."""
    ino, _, _, size, uid, gid, mode, rdev, ctime_ns, mtime_ns, same_as, _ = inode
    mtime, mtime_ns = divmod(mtime_ns, NS)
    ctime, ctime_ns = divmod(ctime_ns, NS)
    if mtime < 0 or ctime < 0:
        mtime, ctime = mtime % 2**64, ctime % 2**64
    return (
        same_as or ino, size, blocks, mtime, mtime, ctime, mtime_ns, mtime_ns, ctime_ns,
        mode, nlink, uid, gid, kernel_device(rdev) if rdev else 0, BLOCK_BYTES, 0,
    )  # fmt: skip


def kernel_device(rdev: int) -> int:
    """Return a device number in the kernel's 32-bit encoding: 12 bits major, 20 bits minor."""
    major = (rdev >> 8) & 0xFFF | (rdev >> 32) & ~0xFFF
    minor = rdev & 0xFF | (rdev >> 12) & ~0xFF
    return ((minor & 0xFF) | (major & 0xFFF) << 8 | (minor & ~0xFF) << 12) & 0xFFFFFFFF


def forget_inode(nodeid: int) -> bytes:
    """Return the notification that drops a node's cached attributes and content."""
    data = struct.pack("<Qqq", nodeid, 0, 0)
    return OUT_HEADER.pack(OUT_HEADER.size + len(data), NOTIFY_INVAL_INODE, 0) + data


def forget_entry(parent: int, name: bytes) -> bytes:
    """Return the notification that drops a cached name and everything below it."""
    data = struct.pack("<QII", parent, len(name), 0) + name + b"\0"
    return OUT_HEADER.pack(OUT_HEADER.size + len(data), NOTIFY_INVAL_ENTRY, 0) + data


def entry_reply(fields: tuple[int, ...]) -> bytes:
    """Return the reply to LOOKUP of a name that exists."""
    return ENTRY_OUT.pack(fields[0], 0, FUSE_TIMEOUT_S, FUSE_TIMEOUT_S, 0, 0, *fields)


def absent_reply() -> bytes:
    """Return the reply to LOOKUP of a name that does not exist. The kernel caches that, too."""
    return ENTRY_OUT.pack(0, 0, FUSE_TIMEOUT_S, 0, *((0,) * 18))


def attr_reply(fields: tuple[int, ...]) -> bytes:
    """Return the reply to GETATTR."""
    return ATTR_OUT.pack(FUSE_TIMEOUT_S, 0, 0, *fields)


def dirent(ino: int, offset: int, mode: int, name: bytes) -> bytes:
    """Return one entry of READDIR."""
    head = DIRENT.pack(ino, offset, len(name), stat.S_IFMT(mode) >> 12)
    return head + name + PADDING[len(name)]


def dirent_plus(fields: tuple[int, ...], offset: int, name: bytes) -> bytes:
    """Return one entry of READDIRPLUS; `fields` are those that `attributes` returns."""
    head = DIRENT_PLUS.pack(
        fields[0], 0, FUSE_TIMEOUT_S, FUSE_TIMEOUT_S, 0, 0, *fields, fields[0], offset, len(name),
        fields[9] >> 12,
    )  # fmt: skip
    return head + name + PADDING[len(name)]


def dirent_dots(ino: int, offset: int, name: bytes) -> bytes:
    """Return `.` or `..` for READDIRPLUS. Node 0 tells the kernel not to look the name up."""
    mode = stat.S_IFDIR
    head = DIRENT_PLUS.pack(*((0,) * 22), ino, offset, len(name), mode >> 12)
    return head + name + PADDING[len(name)]


def statfs_reply(size_bytes: int, inodes: int) -> bytes:
    """Return the reply to STATFS: a full file system, like every read-only one."""
    blocks = -(-size_bytes // BLOCK_BYTES)
    return STATFS_OUT.pack(blocks, 0, 0, inodes, 0, BLOCK_BYTES, 255, BLOCK_BYTES)
