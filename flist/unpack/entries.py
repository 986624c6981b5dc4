"""Makes one entry on disk: whole with all its properties, or not at all.

An entry is made under a scratch name beside its own and renamed when it is complete.
"""

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from flist.errors import FlistError, FormatError
from flist.model import CHUNK_BYTES, Block, Extent, chunk_count, chunk_size
from flist.unpack.plan import Entry
from flist.unpack.present import overlaps, read_present
from flist.unpack.properties import Rules, set_properties

ReadChunk = Callable[[Block, int], bytes | memoryview]
SCRATCH = re.compile(rb"\.rfs-(\d+)-\d+")


class OccupiedError(FlistError):
    """A directory that is not empty is in the place of something else."""


def scratch_path(entry: Entry) -> bytes:
    """Return the scratch name of an entry. It has the inode number, since several threads may write
    into one directory."""
    folder = entry.path.rpartition(b"/")[0]
    return b"%s/.rfs-%d-%d" % (folder, os.getpid(), entry.inode.ino)


@contextlib.contextmanager
def scratch(entry: Entry) -> Iterator[bytes]:
    """Give the scratch name of an entry. What the block makes there gets the entry's own name; it
    is removed if the block or that fails."""
    path = scratch_path(entry)
    try:
        yield path
        put_in_place(path, entry.path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108
        raise


def put_in_place(path: bytes, target: bytes) -> None:
    """Rename `path` to `target`. Replaces an empty directory; raises `OccupiedError` for another
    one, whose content may be the user's."""
    try:
        os.rename(path, target)  # noqa: PTH104
    except IsADirectoryError:
        try:
            os.rmdir(target)  # noqa: PTH106
        except OSError as error:
            name = os.fsdecode(target)
            raise OccupiedError(f"{name}: a directory is in its place: {error.strerror}") from error
        os.rename(path, target)  # noqa: PTH104


def remove_scratch(folder: bytes) -> None:
    """Remove the scratch files in `folder` of this process and of killed ones. Those of other
    running processes stay."""
    with contextlib.suppress(PermissionError), os.scandir(folder) as listing:
        for found in listing:
            match = SCRATCH.fullmatch(found.name)
            if match and (int(match[1]) == os.getpid() or not is_running(int(match[1]))):
                with contextlib.suppress(OSError):
                    os.unlink(found.path)  # noqa: PTH108


def is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def make_file(
    entry: Entry, read_chunk: ReadChunk, rules: Rules, present: int | None = None
) -> list[str]:
    """Write a regular file; return what could not be set. `read_chunk` is not called for chunks
    that the open file `present` has in the same place."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with scratch(entry) as path:
        try:
            handle = os.open(path, flags, 0o600)
        except FileExistsError:
            os.unlink(path)  # noqa: PTH108 of a killed process that had our number
            handle = os.open(path, flags, 0o600)
        try:
            write_content(handle, entry, read_chunk, present)
            return set_properties(handle, entry, rules)
        finally:
            os.close(handle)


def write_content(handle: int, entry: Entry, read_chunk: ReadChunk, present: int | None) -> None:
    """Write the chunks of a file, without the holes of a sparse one."""
    size = entry.inode.size
    if len(entry.blocks) != chunk_count(size):
        raise FormatError(f"it has {len(entry.blocks)} blocks for {size} bytes")
    extents = entry.meta.extents
    if extents is not None:
        os.ftruncate(handle, size)
    for index, block in enumerate(entry.blocks):
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


def make_link(entry: Entry, rules: Rules) -> list[str]:
    """Make a symbolic link; return what could not be set."""
    target = entry.meta.target or b""
    return make_node(entry, rules, lambda path: os.symlink(target, path))  # noqa: PTH211


def make_special(entry: Entry, rules: Rules) -> list[str]:
    """Make a device, FIFO or socket; return what could not be set, or that the user lacks the
    right to make it."""
    inode = entry.inode
    try:
        return make_node(entry, rules, lambda path: os.mknod(path, inode.mode, inode.rdev))
    except PermissionError:
        return [f"{os.fsdecode(entry.path)}: only root may make devices"]


def make_node(entry: Entry, rules: Rules, make: Callable[[bytes], None]) -> list[str]:
    """Call `make` with the scratch name and set the properties; return what could not be set."""
    with scratch(entry) as path:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108
        make(path)
        return set_properties(path, entry, rules)


def make_folder(path: bytes) -> None:
    """Make a directory, or keep the one that exists. Anything else in its place is removed; a
    symbolic link might lead anywhere."""
    try:
        os.mkdir(path, 0o700)  # noqa: PTH102
    except FileExistsError:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            remove_scratch(path)
        else:
            os.unlink(path)  # noqa: PTH108
            os.mkdir(path, 0o700)  # noqa: PTH102


def make_name(first: bytes, entry: Entry) -> None:
    """Make `entry` another name of the file at `first`, if that file could be made."""
    status = find_status(first)
    present = find_status(entry.path)
    if status is None or stat.S_ISDIR(status.st_mode):
        return
    if present is not None and os.path.samestat(status, present):
        return
    with scratch(entry) as path:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108
        os.link(first, path, follow_symlinks=False)


def find_status(path: bytes) -> os.stat_result | None:
    """Return the status of what is at `path`, or None if nothing is there."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None
