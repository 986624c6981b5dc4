"""The descriptor of a namespace: the file `zdb-namespace` beside its index files.

Source: `libzdb/namespace.c` of threefoldtech/0-db 2.0.7, and how zos reads it
(`pkg/zdb/ns_header.go` of threefoldtech/zos).
"""

from dataclasses import dataclass
from struct import Struct

from zdb.errors import DamagedError

NAME = "zdb-namespace"
VERSION = 1
HEADER = Struct("<IBBQB")  # version, length of name, length of password, quota in bytes, flags
PUBLIC = 1
WORM = 2
EXTENDED = 4  # always on
MAX_TEXT = 255


@dataclass(frozen=True)
class Descriptor:
    """What of a namespace survives a restart."""

    name: str
    password: bytes = b""  # none
    maxsize: int = 0  # no limit
    public: bool = True
    worm: bool = False

    def pack(self) -> bytes:
        """Return the bytes of the file."""
        name = self.name.encode("utf-8", "surrogateescape")
        flags = EXTENDED | (PUBLIC if self.public else 0) | (WORM if self.worm else 0)
        head = HEADER.pack(VERSION, len(name), len(self.password), self.maxsize, flags)
        return head + name + self.password


def unpack(blob: bytes, path: str) -> Descriptor:
    """Return the descriptor in `blob`, which was read from `path`."""
    if len(blob) < HEADER.size:
        raise DamagedError(f"cannot read {path}: it ends within its header")
    version, name_size, password_size, maxsize, flags = HEADER.unpack_from(blob)
    if version != VERSION:
        raise DamagedError(f"cannot read {path}: version {version} instead of {VERSION}")
    rest = blob[HEADER.size :]
    if len(rest) < name_size + password_size:
        raise DamagedError(f"cannot read {path}: it ends within its name or password")
    return Descriptor(
        name=rest[:name_size].decode("utf-8", "surrogateescape"),
        password=rest[name_size : name_size + password_size],
        maxsize=maxsize,
        public=bool(flags & PUBLIC),
        worm=bool(flags & WORM),
    )
