"""The values that make up a flist: inodes, blocks, routes. No I/O.

Names and link targets are bytes, times are nanoseconds since 1970, sizes are bytes.
"""

import bisect
import stat
from collections.abc import Sequence
from typing import NamedTuple

ROOT_INO = 1
CHUNK_BYTES = 512 * 1024
"""The size of every chunk of a file but the last; upstream's readers rely on it."""
MAX_BLOCK_BYTES = 32 + CHUNK_BYTES + CHUNK_BYTES // 6 + 16
"""Snappy's bound for a chunk that does not compress, plus the cipher's tag."""
NAME_MAX_BYTES = 255
HASH_BYTES = 32
NS = 1_000_000_000


class Block(NamedTuple):
    """One chunk of a file in a store.

    `id` names it and is the hash of its encrypted bytes. `key` decrypts it and is the hash of its
    plain bytes. `check` is BLAKE3-256 of the encrypted bytes, empty if the flist does not have it.
    """

    id: bytes
    key: bytes
    check: bytes = b""


class Inode(NamedTuple):
    """One entry of the tree. `mode` is the whole st_mode, `nlink` the number of hard links.

    `same_as` is the inode number of the first hard link, or 0 if this is the first or only one.
    """

    ino: int
    parent: int
    name: bytes
    size: int
    uid: int
    gid: int
    mode: int
    rdev: int
    ctime_ns: int
    mtime_ns: int
    same_as: int = 0
    nlink: int = 1

    @property
    def is_dir(self) -> bool:
        """Whether this is a directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether this is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether this is a symbolic link."""
        return stat.S_ISLNK(self.mode)

    @property
    def content_ino(self) -> int:
        """The inode number that all hard links share: that of the first."""
        return self.same_as or self.ino


class Route(NamedTuple):
    """The store at `url` has the blocks whose id's first byte is in start..end (inclusive)."""

    start: int
    end: int
    url: str

    def matches(self, block_id: bytes) -> bool:
        """Return whether the block `block_id` belongs to this route."""
        return self.start <= block_id[0] <= self.end


class Extent(NamedTuple):
    """A range of bytes of a sparse file that holds data; the gaps between extents are holes."""

    start: int
    length: int


def find_extent(extents: Sequence[Extent], offset: int) -> int:
    """Return the index of the first of some sorted extents that ends after `offset`."""
    return bisect.bisect_right(extents, offset, key=lambda extent: extent.start + extent.length)


class Meta(NamedTuple):
    """The optional properties of an inode: link target, extended attributes, and the data ranges of
    a sparse file (None if the file is not sparse)."""

    target: bytes | None = None
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    extents: tuple[Extent, ...] | None = None


NO_META = Meta()


def chunk_count(size_bytes: int) -> int:
    """Return the number of chunks of a file of `size_bytes`."""
    return -(-size_bytes // CHUNK_BYTES)


def chunk_size(size_bytes: int, index: int) -> int:
    """Return the size in bytes of chunk `index` of a file of `size_bytes`."""
    return min(CHUNK_BYTES, size_bytes - index * CHUNK_BYTES)
