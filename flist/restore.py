"""Writes one entry of a flist to disk, whole or not at all, with all its attributes."""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from flist.errors import FlistError, FormatError
from flist.model import CHUNK_BYTES, Block, Extent, Inode, Meta, chunk_count, chunk_size

ReadChunk = Callable[[Block, int], bytes | memoryview]


class Restore(NamedTuple):
    """One entry and the place where it belongs."""

    path: bytes
    inode: Inode
    meta: Meta
    blocks: Sequence[Block] = ()


class Rules(NamedTuple):
    """Whether owners are restored."""

    is_owner_kept: bool


def is_restored(item: Restore) -> bool:
    """Whether a file is there already as an earlier, interrupted run left it: whole."""
    try:
        status = os.lstat(item.path)
    except OSError:
        return False
    inode = item.inode
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_size == inode.size
        and status.st_mtime_ns == inode.mtime_ns
        and stat.S_IMODE(status.st_mode) == stat.S_IMODE(inode.mode)
    )


SCRATCH = re.compile(rb"\.rfs-(\d+)-\d+")


def scratch_path(item: Restore) -> bytes:
    """Return a name beside an entry's own for what is not complete yet. No two entries share one:
    several threads may write into one folder."""
    folder = item.path.rpartition(b"/")[0]
    return b"%s/.rfs-%d-%d" % (folder, os.getpid(), item.inode.ino)


def is_running(pid: int) -> bool:
    """Whether a process is there and has not ended (it may still wait to be reaped)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def remove_scratch(folder: bytes) -> None:
    """Remove what a killed run left in `folder`; what belongs to a running process stays."""
    with contextlib.suppress(PermissionError), os.scandir(folder) as listing:
        for entry in listing:
            match = SCRATCH.fullmatch(entry.name)
            if match and not is_running(int(match[1])):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)  # noqa: PTH108


def restore_file(item: Restore, read_chunk: ReadChunk, rules: Rules) -> list[str]:
    """Write a regular file; return what could not be restored."""
    scratch = scratch_path(item)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            handle = os.open(scratch, flags, 0o600)
        except FileExistsError:
            os.unlink(scratch)  # noqa: PTH108 left by a killed run that had our number
            handle = os.open(scratch, flags, 0o600)
        try:
            write_content(handle, item, read_chunk)
            problems = set_attributes(handle, item, rules)
        finally:
            os.close(handle)
        os.rename(scratch, item.path)  # noqa: PTH104
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(scratch)  # noqa: PTH108
        raise
    return problems


def write_content(handle: int, item: Restore, read_chunk: ReadChunk) -> None:
    """Write the chunks of a file; the holes of a sparse one are left out."""
    size = item.inode.size
    if len(item.blocks) != chunk_count(size):
        raise FormatError(f"it has {len(item.blocks)} blocks for {size} bytes")
    extents = item.meta.extents
    if extents is not None:
        os.ftruncate(handle, size)
    for index, block in enumerate(item.blocks):
        start = index * CHUNK_BYTES
        if extents is None:
            write_all(handle, read_chunk(block, chunk_size(size, index)), start)
        elif parts := overlaps(extents, start, chunk_size(size, index)):
            chunk = read_chunk(block, chunk_size(size, index))
            for part in parts:
                begin = part.start - start
                write_all(handle, chunk[begin : begin + part.length], part.start)


def overlaps(extents: Sequence[Extent], start: int, length: int) -> list[Extent]:
    """Return the parts of `extents` inside `start`..`start + length`."""
    end = start + length
    cut = [(max(e.start, start), min(e.start + e.length, end)) for e in extents]
    return [Extent(first, last - first) for first, last in cut if first < last]


def write_all(handle: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`."""
    done = os.pwrite(handle, data, offset)
    while done < len(data):
        done += os.pwrite(handle, memoryview(data)[done:], offset + done)


def restore_link(item: Restore, rules: Rules) -> list[str]:
    """Make a symbolic link."""
    target = item.meta.target or b""
    return restore_node(item, rules, lambda path: os.symlink(target, path))  # noqa: PTH211


def restore_special(item: Restore, rules: Rules) -> list[str]:
    """Make a device, FIFO or socket; without the right to, that is a problem, not an error."""
    inode = item.inode
    try:
        return restore_node(item, rules, lambda path: os.mknod(path, inode.mode, inode.rdev))
    except PermissionError:
        return [f"{os.fsdecode(item.path)}: only root may make devices"]


def restore_node(item: Restore, rules: Rules, make: Callable[[bytes], None]) -> list[str]:
    """Make something with `make` under another name, complete it, then rename it."""
    scratch = scratch_path(item)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(scratch)  # noqa: PTH108
    make(scratch)
    try:
        problems = set_attributes(scratch, item, rules)
        os.rename(scratch, item.path)  # noqa: PTH104
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(scratch)  # noqa: PTH108
        raise
    return problems


def make_folder(path: bytes) -> None:
    """Make a directory, or accept the one that is there; a link in its place is an attack."""
    try:
        os.mkdir(path, 0o700)  # noqa: PTH102
    except FileExistsError as error:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            name = os.fsdecode(path)
            raise FlistError(f"cannot unpack: {name} is there and not a directory") from error
        remove_scratch(path)


def link_name(first: bytes, item: Restore) -> None:
    """Make `item` another name of `first`."""
    path, scratch = item.path, scratch_path(item)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(scratch)  # noqa: PTH108
    os.link(first, scratch, follow_symlinks=False)
    os.rename(scratch, path)  # noqa: PTH104
    with contextlib.suppress(FileNotFoundError):
        os.unlink(scratch)  # noqa: PTH108 rename of two names of one file does nothing


def set_owner(place: int | bytes, item: Restore) -> list[str]:
    """Set owner and group; return the complaint of who may not do that."""
    owner = item.inode.uid, item.inode.gid
    try:
        os.chown(place, *owner, follow_symlinks=not isinstance(place, bytes))
    except PermissionError as error:
        return [f"{os.fsdecode(item.path)}: owner {owner[0]}:{owner[1]}: {error.strerror}"]
    return []


def set_attributes(place: int | bytes, item: Restore, rules: Rules) -> list[str]:
    """Set owner, mode, extended attributes and times, in the only order that keeps all of them:
    a change of owner drops setuid bits and capabilities, and every change moves the times."""
    inode = item.inode
    is_path = isinstance(place, bytes)
    follow = not is_path
    problems = set_owner(place, item) if rules.is_owner_kept else []
    if not inode.is_link:
        # Without its owner, a program would lend out the rights of whoever unpacks.
        mode = stat.S_IMODE(inode.mode) & (0o1777 if problems else 0o7777)
        os.chmod(place, mode)  # noqa: PTH101
    for name, value in item.meta.xattrs:
        try:
            os.setxattr(place, name, value, follow_symlinks=follow)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOTSUP):
                raise
            text = f"{os.fsdecode(item.path)}: {os.fsdecode(name)}: {error.strerror}"
            problems.append(text)
    os.utime(place, ns=(inode.mtime_ns, inode.mtime_ns), follow_symlinks=follow)
    return problems
