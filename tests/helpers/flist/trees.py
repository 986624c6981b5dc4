"""Trees to pack, and descriptions of trees for comparison."""

import errno
import hashlib
import os
import socket
import stat
import struct
import subprocess
from pathlib import Path
from typing import Any

MIB = 1 << 20


def describe(root: Path, *, with_times_of_links: bool = True) -> dict[str, dict[str, Any]]:
    """Return all properties of all entries below `root` that a flist must reproduce, by path."""
    names: dict[tuple[int, int], str] = {}
    found = {}
    paths = [os.fsencode(root)]
    for folder in paths:
        for entry in sorted(os.scandir(folder), key=lambda e: e.name):
            if entry.is_dir(follow_symlinks=False):
                paths.append(entry.path)
    for folder in paths:
        for path in [folder, *sorted(e.path for e in os.scandir(folder))]:
            key = os.fsdecode(os.path.relpath(path, os.fsencode(root)))
            if key not in found:
                found[key] = describe_entry(path, key, names)
    return dict(sorted(found.items()))


def describe_entry(path: bytes, key: str, names: dict[tuple[int, int], str]) -> dict[str, Any]:
    """Return the properties of one entry."""
    status = os.lstat(path)
    row: dict[str, Any] = {
        "mode": oct(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mtime_ns": status.st_mtime_ns,
        "nlink": status.st_nlink,
        "xattrs": read_xattrs(path),
    }
    if not stat.S_ISDIR(status.st_mode):
        row["same_as"] = names.setdefault((status.st_dev, status.st_ino), key)
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as stream:
            row["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
        row["size"] = status.st_size
        row["data"] = data_ranges(path, status.st_size)
    if stat.S_ISLNK(status.st_mode):
        row["target"] = os.readlink(path)  # noqa: PTH115 bytes
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        row["rdev"] = (os.major(status.st_rdev), os.minor(status.st_rdev))
    return row


def read_xattrs(path: bytes) -> dict[str, bytes]:
    """Return all extended attributes; a file system without any may refuse."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        assert error.errno == errno.ENOTSUP
        return {}
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in sorted(names)}


def data_ranges(path: bytes, size: int) -> list[tuple[int, int]]:
    """Return start and end of each range of data, found with SEEK_DATA and SEEK_HOLE."""
    ranges = []
    with open(path, "rb") as stream:
        end = 0
        while end < size:
            try:
                start = os.lseek(stream.fileno(), end, os.SEEK_DATA)
            except OSError:
                break
            end = min(os.lseek(stream.fileno(), start, os.SEEK_HOLE), size)
            ranges.append((start, end))
    return ranges


def make_small_tree(root: Path) -> Path:
    """Make a tree with files around the chunk size, links and directories; needs no root."""
    root.mkdir(parents=True)
    random = hashlib.shake_256(b"small tree").digest(3 * MIB)
    sizes = {"empty": 0, "one": 1, "chunk-1": MIB // 2 - 1, "chunk": MIB // 2,
             "chunk+1": MIB // 2 + 1, "two-and-a-half": MIB + MIB // 4, "big": 3 * MIB}  # fmt: skip
    for name, size in sizes.items():
        (root / name).write_bytes(random[:size])
    (root / "sub" / "deeper").mkdir(parents=True)
    (root / "sub" / "text").write_text("hello\n" * 1000)
    (root / "sub" / "deeper" / "naïve 日本").write_text("x")
    (root / "sub" / "same").write_bytes(random[: sizes["big"]])
    (root / "link").symlink_to("sub/text")
    (root / "dangling").symlink_to("/nowhere/at all")
    os.mkfifo(root / "fifo")
    (root / "sub").chmod(0o750)
    (root / "one").chmod(0o600)
    os.utime(root / "one", ns=(1, 1_234_567_891_123_456_789))
    return root


def make_odd_tree(root: Path) -> Path:
    """Make a tree with every kind of entry and property of a Linux file system; needs root."""
    make_small_tree(root)
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "big-minor", stat.S_IFBLK | 0o600, os.makedev(259, 70000))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(root / "socket"))
    (root / "setuid").write_bytes(b"#!/bin/true\n")
    os.chown(root / "setuid", 1234, 2345)
    (root / "setuid").chmod(0o6755)
    (root / "sticky").mkdir()
    (root / "sticky").chmod(0o1777)
    os.chown(root / "sticky", 4_000_000_000, 4_000_000_001)
    os.link(root / "big", root / "sub" / "big-too")
    os.link(root / "big", root / "sub" / "big-three")
    os.link(root / "link", root / "sub" / "link-too", follow_symlinks=False)
    odd_name = os.fsencode(root) + b"/not-utf8-\xff\xfe\n"
    Path(os.fsdecode(odd_name)).write_text("odd")
    Path(os.fsdecode(os.fsencode(root) + b"/not-utf8-\xfd")).write_text("odd too")
    (root / ("n" * 255)).write_text("long")
    os.setxattr(root / "one", b"user.note", b"\0\xff value")
    os.setxattr(root / "sub", b"user.folder", b"x" * 1000)
    os.setxattr(root / "setuid", b"trusted.t", b"t")
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(root / "chunk", b"security.capability", capability)
    os.setxattr(root / "chunk+1", b"system.posix_acl_access", make_acl(1234, others=4))
    # New entries inherit the default list of a directory: an unpack must prevent it.
    os.setxattr(root / "sub", b"system.posix_acl_default", make_acl(1234))
    make_sparse(root / "sparse", 6 * MIB, [(MIB, b"a" * 5000), (4 * MIB - 100, b"b" * 200)])
    make_sparse(root / "all-hole", 3 * MIB, [])
    os.utime(root / "link", ns=(5, 1_600_000_000_000_000_007), follow_symlinks=False)
    os.utime(root / "null", ns=(5, 999_999_999))
    os.utime(root / "fifo", ns=(5, -1_500_000_000))  # before 1970
    os.utime(root, ns=(5, 1_650_000_000_000_000_009))
    return root


def make_acl(uid: int, others: int = 0) -> bytes:
    """Return an access list (posix_acl_xattr.h) that grants user `uid` and the group reading."""
    nobody = 0xFFFFFFFF
    rows = [(1, 6, nobody), (2, 4, uid), (4, 4, nobody), (16, 6, nobody), (32, others, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *row) for row in rows)


def make_sparse(path: Path, size: int, parts: list[tuple[int, bytes]]) -> None:
    """Make a sparse file with `parts` of data: offset and bytes of each."""
    with path.open("wb") as stream:
        stream.truncate(size)
        for offset, data in parts:
            stream.seek(offset)
            stream.write(data)


def run_rsync_compare(ours: Path, theirs: Path) -> str:
    """Return the changes that rsync would make so that `ours` equals `theirs`; empty if none."""
    call = ["rsync", "-aHAXi", "--checksum", "--dry-run", "--delete", f"{theirs}/", f"{ours}/"]
    return subprocess.run(call, capture_output=True, check=True, text=True).stdout
