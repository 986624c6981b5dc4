"""The shapes of a flist: inodes, blocks, routes. Pure values, no I/O.

Names and link targets are bytes, times are nanoseconds since 1970, sizes are bytes.
"""

import stat
from typing import NamedTuple

ROOT_INO = 1
CHUNK_BYTES = 512 * 1024
"""Every chunk of a file but the last has this many bytes; upstream's readers rely on it."""
NAME_MAX_BYTES = 255
HASH_BYTES = 32
NS = 1_000_000_000


class Block(NamedTuple):
    """One chunk of a file: `id` names it in a store, `key` decrypts it and is its plain hash,
    `check` is BLAKE3 of the same bytes as `id`, or empty where the flist does not say it."""

    id: bytes
    key: bytes
    check: bytes = b""


class Inode(NamedTuple):
    """One entry of the tree. `mode` is the whole st_mode, `same_as` the inode that a hard link is
    another name of (0: none), `nlink` how many names there are."""

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
        """The inode that a node is known by: the first name's, for a hard link."""
        return self.same_as or self.ino


class Route(NamedTuple):
    """Blocks whose id's first byte is in start..end (both inclusive) are in the store at `url`."""

    start: int
    end: int
    url: str

    def matches(self, block_id: bytes) -> bool:
        """Whether the block `block_id` belongs to this route."""
        return self.start <= block_id[0] <= self.end


class Extent(NamedTuple):
    """A range of a sparse file that holds data; everything between extents is a hole."""

    start: int
    length: int


class Meta(NamedTuple):
    """What an inode has beyond its row: link target, attributes, data ranges of a sparse file."""

    target: bytes | None = None
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    extents: tuple[Extent, ...] | None = None


NO_META = Meta()


def chunk_count(size_bytes: int) -> int:
    """Return how many chunks a file of `size_bytes` has."""
    return -(-size_bytes // CHUNK_BYTES)


def chunk_size(size_bytes: int, index: int) -> int:
    """Return how many bytes chunk `index` of a file of `size_bytes` has."""
    return min(CHUNK_BYTES, size_bytes - index * CHUNK_BYTES)
