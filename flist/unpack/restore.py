"""Writes one entry of a flist to disk, whole or not at all, with all its attributes."""

import contextlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from flist.errors import FlistError, FormatError
from flist.model import CHUNK_BYTES, Block, Extent, chunk_count, chunk_size
from flist.unpack.present import overlaps, read_present
from flist.unpack.properties import Restore, Rules, set_properties

ReadChunk = Callable[[Block, int], bytes | memoryview]


class OccupiedError(FlistError):
    """A directory that is not empty stands where something else belongs."""


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
    """Remove what a killed run left in `folder`, and what one of ours has not completed; what
    belongs to another running process stays."""
    with contextlib.suppress(PermissionError), os.scandir(folder) as listing:
        for entry in listing:
            match = SCRATCH.fullmatch(entry.name)
            if match and (int(match[1]) == os.getpid() or not is_running(int(match[1]))):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)  # noqa: PTH108


def restore_file(
    item: Restore, read_chunk: ReadChunk, rules: Rules, present: int | None = None
) -> list[str]:
    """Write a regular file; return what could not be restored. Chunks that the open file `present`
    has in their places are not asked for."""
    scratch = scratch_path(item)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            handle = os.open(scratch, flags, 0o600)
        except FileExistsError:
            os.unlink(scratch)  # noqa: PTH108 left by a killed run that had our number
            handle = os.open(scratch, flags, 0o600)
        try:
            write_content(handle, item, read_chunk, present)
            problems = set_properties(handle, item, rules)
        finally:
            os.close(handle)
        put_in_place(scratch, item.path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(scratch)  # noqa: PTH108
        raise
    return problems


def write_content(handle: int, item: Restore, read_chunk: ReadChunk, present: int | None) -> None:
    """Write the chunks of a file; the holes of a sparse one are left out."""
    size = item.inode.size
    if len(item.blocks) != chunk_count(size):
        raise FormatError(f"it has {len(item.blocks)} blocks for {size} bytes")
    extents = item.meta.extents
    if extents is not None:
        os.ftruncate(handle, size)
    for index, block in enumerate(item.blocks):
        start, length = index * CHUNK_BYTES, chunk_size(size, index)
        whole = Extent(start, length)
        parts = [whole] if extents is None else overlaps(extents, start, length)
        if not parts:
            continue
        chunk: bytes | memoryview | None = None
        if present is not None:
            chunk = read_present(present, block, start, length)
        if chunk is None:
            chunk = read_chunk(block, length)
        for part in parts:
            begin = part.start - start
            write_all(handle, chunk[begin : begin + part.length], part.start)


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
        problems = set_properties(scratch, item, rules)
        put_in_place(scratch, item.path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(scratch)  # noqa: PTH108
        raise
    return problems


def put_in_place(scratch: bytes, path: bytes) -> None:
    """Give what is complete its name. An empty directory makes room for it; raises `OccupiedError`
    for another: what is in it may be somebody's."""
    try:
        os.rename(scratch, path)  # noqa: PTH104
    except IsADirectoryError:
        try:
            os.rmdir(path)  # noqa: PTH106
        except OSError as error:
            os.unlink(scratch)  # noqa: PTH108
            name = os.fsdecode(path)
            raise OccupiedError(f"{name}: a directory is in its place: {error.strerror}") from error
        os.rename(scratch, path)  # noqa: PTH104


def make_folder(path: bytes) -> None:
    """Make a directory, or accept the one that is there; anything else in its place is removed. A
    link might lead anywhere."""
    try:
        os.mkdir(path, 0o700)  # noqa: PTH102
    except FileExistsError:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            remove_scratch(path)
        else:
            os.unlink(path)  # noqa: PTH108
            os.mkdir(path, 0o700)  # noqa: PTH102


def link_name(first: bytes, item: Restore) -> None:
    """Make `item` another name of `first`, if it is not and that could be restored."""
    status = look_at(first)
    present = look_at(item.path)
    if status is None or stat.S_ISDIR(status.st_mode):
        return
    if present is not None and os.path.samestat(status, present):
        return
    scratch = scratch_path(item)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(scratch)  # noqa: PTH108
    os.link(first, scratch, follow_symlinks=False)
    put_in_place(scratch, item.path)


def look_at(path: bytes) -> os.stat_result | None:
    """Return what is at a path, if anything."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None
