"""Makes items of a tree from entries of an archive, and stores their contents."""

import os
import stat
from collections.abc import Callable, Sequence

from flist.archive import tar
from flist.archive.chunks import ChunkWriter
from flist.archive.errors import ArchiveError
from flist.archive.tree import Item
from flist.model import CHUNK_BYTES, Block, Extent

TYPES = {
    tar.REGULAR: stat.S_IFREG,
    tar.SYMLINK: stat.S_IFLNK,
    tar.CHARACTER: stat.S_IFCHR,
    tar.BLOCK_DEVICE: stat.S_IFBLK,
    tar.DIRECTORY: stat.S_IFDIR,
    tar.FIFO: stat.S_IFIFO,
}
MAX_TARGET_BYTES = 4095
MAX_XATTR_BYTES = 64 << 10
OVERLAY_XATTRS = (b"trusted.overlay.", b"user.overlay.")
"""These would control an overlay mounted above the flist."""


def make_item(entry: tar.Entry) -> Item:
    """Return the checked item of an entry."""
    target = entry.target if entry.kind == tar.SYMLINK else None
    if target is not None and (not 0 < len(target) <= MAX_TARGET_BYTES or b"\0" in target):
        raise ArchiveError(
            "the archive is refused: it holds a symbolic link with an invalid target"
        )
    return Item(
        mode=TYPES[entry.kind] | (0o777 if target is not None else entry.mode),
        uid=entry.uid,
        gid=entry.gid,
        size=entry.size,
        mtime_ns=entry.mtime_ns,
        rdev=os.makedev(*entry.device),
        target=target,
        xattrs=tuple(pair for pair in entry.xattrs if is_kept_xattr(*pair)),
        extents=entry.extents,
    )


def is_kept_xattr(name: bytes, value: bytes) -> bool:
    """Return whether an attribute goes into the flist; raises `ArchiveError` for an invalid one."""
    if not 0 < len(name) <= 255 or b"\0" in name or len(value) > MAX_XATTR_BYTES:
        raise ArchiveError("the archive is refused: it holds an invalid extended attribute")
    return not name.startswith(OVERLAY_XATTRS)


def store_content(
    reader: tar.TarReader,
    entry: tar.Entry,
    writer: ChunkWriter,
    check: Callable[[], None] | None = None,
) -> list[Block]:
    """Store a file's content chunk by chunk, and call `check` for each; return its blocks, which
    are complete after `ChunkWriter.wait`."""
    blocks: list[Block] = []
    place = 0
    extents = entry.extents
    for start in range(0, entry.size, CHUNK_BYTES):
        size = min(CHUNK_BYTES, entry.size - start)
        if check is not None:
            check()
        if extents is None:
            chunk = reader.take(size)
        else:
            chunk, place = take_sparse(reader, extents, place, start, start + size)
        writer.add(chunk, blocks, entry.size)
    return blocks


def take_sparse(
    reader: tar.TarReader, extents: Sequence[Extent], place: int, start: int, end: int
) -> tuple[bytes, int]:
    """Return the bytes from `start` to `end` of a sparse file, whose holes become zeros, and the
    index of the first extent that does not end there; `place` is that index before."""
    chunk = bytearray(end - start)
    while place < len(extents) and extents[place].start < end:
        first, length = extents[place]
        begin, stop = max(first, start), min(first + length, end)
        chunk[begin - start : stop - start] = reader.take(stop - begin)
        if first + length > end:
            break  # the rest is in the next chunk
        place += 1
    return bytes(chunk), place
