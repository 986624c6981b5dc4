"""Compares a file that exists already with its blocks, whole or chunk by chunk.

Size and time are no proof: another version of a tree with fixed times may have the same, and a
power cut leaves files whose content never reached the disk. So each chunk is compared with its
block's key, which is the hash of the chunk. That takes less time than writing it, and no fetch.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence

from flist.blocks.codec import digest
from flist.folders import Folders
from flist.model import CHUNK_BYTES, Block, Extent, chunk_count, chunk_size, find_extent


@contextlib.contextmanager
def open_present(folders: Folders, path: bytes) -> Iterator[int | None]:
    """Open the regular file at `path` for the block; give None if it cannot be read."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with folders.at(path) as (folder, name):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            is_file = stat.S_ISREG(status.st_mode)  # opening a device may have effects
            handle = os.open(name, flags, dir_fd=folder) if is_file else None
    except OSError:
        handle = None
    if handle is None:
        yield None
        return
    try:
        yield handle if stat.S_ISREG(os.fstat(handle).st_mode) else None
    finally:
        os.close(handle)


def has_content(
    handle: int, size: int, blocks: Sequence[Block], extents: Sequence[Extent] | None
) -> bool:
    """Return whether a file has the `size` bytes of `blocks`. Chunks that are holes in both the
    flist and the file are not read."""
    if os.fstat(handle).st_size != size or len(blocks) != chunk_count(size):
        return False
    for index, block in enumerate(blocks):
        start, length = index * CHUNK_BYTES, chunk_size(size, index)
        is_left_out = extents is not None and not overlaps(extents, start, length)
        if is_left_out and is_hole(handle, start, length):
            continue
        if read_present(handle, block, start, length) is None:
            return False
    return True


def read_present(handle: int, block: Block, start: int, length: int) -> bytes | None:
    """Return the chunk at `start` if it is that of `block`, or else None."""
    try:
        chunk = os.pread(handle, length, start)
    except OSError:
        return None  # such as a damaged disk: the chunk is fetched
    is_right = len(chunk) == length and digest(chunk, len(block.key)) == block.key
    return chunk if is_right else None


def is_hole(handle: int, start: int, length: int) -> bool:
    """Return whether a range of a file is a hole."""
    try:
        return os.lseek(handle, start, os.SEEK_DATA) >= start + length
    except OSError as error:
        return error.errno == errno.ENXIO  # the rest is a hole


def overlaps(extents: Sequence[Extent], start: int, length: int) -> list[Extent]:
    """Return the parts of sorted `extents` inside `start`..`start + length`."""
    end = start + length
    found = []
    for index in range(find_extent(extents, start), len(extents)):
        extent = extents[index]
        if extent.start >= end:
            break
        first, last = max(extent.start, start), min(extent.start + extent.length, end)
        if first < last:
            found.append(Extent(first, last - first))
    return found
