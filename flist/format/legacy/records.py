"""Decodes the Cap'n Proto records of an older flist into inodes, blocks and link targets.

Directories and access rights are found by the keys in the records. Those keys must not be computed:
how upstream computed them changed over the years, and was wrong for some of them. Source of the
layouts: upstream's 0-flist and 0-fs.
"""

import grp
import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from flist.errors import FormatError
from flist.format.legacy.blocks import LEGACY_HASH_BYTES
from flist.format.legacy.capnp import Message, Struct
from flist.format.rows import check_name
from flist.model import CHUNK_BYTES, NS, ROOT_INO, Block, Inode, Meta, chunk_count

ROOT_KEY = "cae66941d9efbd404e4d88758ea67670"
"""BLAKE2b-128 of the empty path."""
DIRECTORY, FILE, LINK, SPECIAL = 0, 1, 2, 3
DIRECTORY_BYTES = 4096
DEFAULT_OWNER = 1000
DEFAULT_MODE = 0o400
SPECIAL_TYPES = {0: stat.S_IFSOCK, 1: stat.S_IFBLK, 2: stat.S_IFCHR, 3: stat.S_IFIFO}


class Rights(NamedTuple):
    """Owner and mode of an access record."""

    uid: int
    gid: int
    mode: int


class Decoded(NamedTuple):
    """A decoded flist; everything is by inode number."""

    inodes: dict[int, Inode]
    children: dict[int, list[Inode]]
    blocks: dict[int, list[Block]]
    metas: dict[int, Meta]


class RecordReader:
    """Decodes the records of the flist `path`, which errors name."""

    def __init__(self, path: Path, records: Mapping[str, bytes]) -> None:
        self.path = path
        self.records = records
        self.found = Decoded({}, {}, {}, {})
        self.known_rights: dict[bytes, Rights] = {}

    def run(self) -> Decoded:
        """Decode every record, from the root down, breadth first; raises `FormatError`."""
        root = self.directory(ROOT_KEY)
        rights = self.rights(root.text(4))
        times = root.number(12, "I") * NS, root.number(8, "I") * NS
        mode = stat.S_IFDIR | rights.mode & 0o7777
        size = DIRECTORY_BYTES
        self.add(Inode(ROOT_INO, 0, b"/", size, rights.uid, rights.gid, mode, 0, *times))
        pending = [(ROOT_INO, root)]
        seen = {ROOT_KEY}
        for parent, record in pending:  # grows during the loop
            for entry in record.structs(2):
                key = self.read_entry(parent, entry)
                if key is not None:
                    if key in seen:
                        raise FormatError(f"cannot open {self.path}: a directory is in it twice")
                    seen.add(key)
                    pending.append((len(self.found.inodes), self.directory(key)))
        return self.found

    def directory(self, key: str) -> Struct:
        """Return the record of a directory."""
        data = self.records.get(key)
        if data is None:
            raise FormatError(f"cannot open {self.path}: directory {key[:64]} is missing")
        return Message(data).root()

    def add(self, inode: Inode) -> None:
        """Add an inode to what was found."""
        self.found.inodes[inode.ino] = inode
        if inode.ino != ROOT_INO:
            self.found.children.setdefault(inode.parent, []).append(inode)

    def read_entry(self, parent: int, entry: Struct) -> str | None:
        """Decode an entry of a directory; return the key of its record if it is a directory too."""
        ino = len(self.found.inodes) + 1
        name = check_name(ino, entry.text(0))
        kind = entry.number(8, "H")
        rights = self.rights(entry.text(2))
        size, rdev, key = entry.number(0, "Q"), 0, None
        union = entry.struct(1)
        if kind == DIRECTORY:
            key = union.text(0).decode(errors="replace") if union else ""
            form, size = stat.S_IFDIR, DIRECTORY_BYTES
            rights = self.rights(self.directory(key).text(4))
        elif kind == FILE:
            form = stat.S_IFREG
            self.read_blocks(ino, size, union)
        elif kind == LINK:
            form = stat.S_IFLNK
            target = union.text(0) if union else b""
            self.found.metas[ino], size = Meta(target), len(target)
            rights = rights._replace(mode=0o777)
        elif kind == SPECIAL:
            form, rdev = special_type(union, rights.mode)
            size = 0
        else:
            raise FormatError(f"inode {ino} is of an unknown kind {kind}")
        times = entry.number(16, "I") * NS, entry.number(12, "I") * NS
        mode = form | rights.mode & 0o7777
        self.add(Inode(ino, parent, name, size, rights.uid, rights.gid, mode, rdev, *times))
        return key

    def read_blocks(self, ino: int, size: int, union: Struct | None) -> None:
        """Decode the blocks of a file of `size` bytes; those beyond its end are dropped."""
        if union is None:
            return
        chunk = union.number(0, "H") * 4096
        if size and chunk != CHUNK_BYTES:
            raise FormatError(f"inode {ino} has chunks of {chunk} bytes")
        blocks = [Block(item.data(0), item.data(1)) for item in union.structs(0)]
        lengths = {len(value) for block in blocks for value in (block.id, block.key)}
        if len(blocks) < chunk_count(size) or lengths - {LEGACY_HASH_BYTES}:
            raise FormatError(f"inode {ino} has {len(blocks)} blocks for {size} bytes")
        self.found.blocks[ino] = blocks[: chunk_count(size)]

    def rights(self, key: bytes) -> Rights:
        """Return owner and mode of the access record `key`, or the defaults if it is missing."""
        known = self.known_rights.get(key)
        if known is None:
            data = self.records.get(key.decode(errors="replace"))
            known = read_rights(Message(data).root()) if data else None
            known = known or Rights(DEFAULT_OWNER, DEFAULT_OWNER, DEFAULT_MODE)
            self.known_rights[key] = known
        return known


def read_rights(record: Struct) -> Rights:
    """Return owner and mode of an access record; a missing number is looked up by name."""
    uid, gid = ~record.number(8, "q"), ~record.number(16, "q")
    if not 0 <= uid < 2**32:
        uid = find_user(record.text(0).decode(errors="replace"))
    if not 0 <= gid < 2**32:
        gid = find_group(record.text(1).decode(errors="replace"))
    return Rights(uid, gid, record.number(0, "H"))


def find_user(name: str) -> int:
    """Return the uid of a user of this machine, or the default."""
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):  # no such user, or not a possible name
        return DEFAULT_OWNER


def find_group(name: str) -> int:
    """Return the gid of a group of this machine, or the default."""
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return DEFAULT_OWNER


def special_type(union: Struct | None, mode: int) -> tuple[int, int]:
    """Return the type bits and the device number of a special file.

    Upstream's writer never set the type. So the type bits of `mode` come first, if there are any,
    and a device number makes it a device.
    """
    kind = union.number(0, "H") if union else 0
    text = (union.data(0) if union else b"").removesuffix(b"\0")
    major, comma, minor = text.partition(b",")
    is_device = bool(comma) and major.isdigit() and minor.isdigit()
    rdev = os.makedev(int(major[:9]), int(minor[:9])) if is_device else 0
    form = stat.S_IFMT(mode)
    if form not in SPECIAL_TYPES.values():
        form = SPECIAL_TYPES.get(kind, stat.S_IFSOCK)
        if is_device and form == stat.S_IFSOCK:
            form = stat.S_IFCHR
    return form, rdev if form in (stat.S_IFCHR, stat.S_IFBLK) else 0
