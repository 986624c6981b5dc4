"""What a flist shows as a file system: names, directories, attributes. Pure, no I/O of its own.

Every question is answered by inode number. The directories that were asked for last are kept, up
to a number of entries, so memory stays the same however large the flist is.
"""

import threading
from collections import OrderedDict
from functools import cached_property
from typing import Protocol

from flist.model import NO_META, ROOT_INO, Block, Inode, Meta

KEPT_ENTRIES = 20_000
RECENT_INODES = 4096


class Source(Protocol):
    """Where a tree's inodes come from: an open flist, or a dictionary in a test."""

    def inode(self, ino: int) -> Inode | None:
        """Return one inode."""

    def children(self, ino: int) -> list[Inode]:
        """Return the entries of a directory."""

    def blocks(self, ino: int) -> list[Block]:
        """Return the blocks of a file."""

    def small_blocks(self, folder: int, start: int) -> dict[int, Block]:
        """Return the blocks of some files of a directory, of those that have one block each."""

    def parts(self, block_id: bytes) -> bytes | None:
        """Return how a block can be read in parts, if that is known (`flist.blocks.parts`)."""

    def meta(self, ino: int) -> Meta:
        """Return link target, attributes and data ranges."""

    def folder_counts(self) -> dict[int, int]:
        """Return how many directories each directory holds, where that is not none."""

    def large_folders(self) -> set[int]:
        """Return the directories with very many entries."""

    def totals(self) -> tuple[int, int]:
        """Return how many inodes there are and how many bytes the files have."""

    def data_bytes(self) -> dict[int, int]:
        """Return how many bytes of each sparse file are not holes."""

    def xattr_names(self) -> set[bytes]:
        """Return the names of all extended attributes in use."""


class Tree:
    """A flist as a file system; may be asked from several threads."""

    def __init__(self, source: Source, kept_entries: int = KEPT_ENTRIES) -> None:
        self.source = source
        self.kept_entries = kept_entries
        self.kept = 0
        self.directories: OrderedDict[int, dict[bytes, Inode]] = OrderedDict()
        self.recent: dict[int, Inode] = {}
        self.lock = threading.Lock()

    def inode(self, ino: int) -> Inode:
        """Return one inode; raises `FileNotFoundError`."""
        known = self.recent.get(ino)
        if known is not None:
            return known
        inode = self.source.inode(ino)
        if inode is None:
            raise FileNotFoundError(ino)
        with self.lock:
            if len(self.recent) >= RECENT_INODES:
                self.recent.clear()
            self.recent[ino] = inode
        return inode

    def entries(self, ino: int) -> dict[bytes, Inode]:
        """Return what directory `ino` holds, by name, in packing order."""
        with self.lock:
            known = self.directories.get(ino)
            if known is not None:
                self.directories.move_to_end(ino)
                return known
            children = self.source.children(ino)
            found: dict[bytes, Inode] = {}
            for child in children:
                found.setdefault(child.name, child)  # two of one name: the first is shown
            self.keep(ino, found)
            if len(self.recent) + len(found) > RECENT_INODES:
                self.recent.clear()
            self.recent.update((child.ino, child) for child in found.values() if child.is_file)
            return found

    def keep(self, ino: int, entries: dict[bytes, Inode]) -> None:
        """Remember a directory and forget the ones that were not asked for lately."""
        self.directories[ino] = entries
        self.kept += len(entries) + 1
        while self.kept > self.kept_entries and len(self.directories) > 1:
            _, old = self.directories.popitem(last=False)
            self.kept -= len(old) + 1

    def lookup(self, parent: int, name: bytes) -> Inode | None:
        """Return the entry `name` of directory `parent`, or None."""
        return self.entries(parent).get(name)

    def find(self, path: bytes) -> Inode:
        """Return the inode at an absolute path; links are not followed."""
        inode: Inode | None = None
        ino = ROOT_INO
        for name in path.split(b"/"):
            if name:
                inode = self.lookup(ino, name)
                if inode is None:
                    raise FileNotFoundError(path)
                ino = inode.ino
        return inode if inode is not None else self.inode(ROOT_INO)

    def link_count(self, inode: Inode) -> int:
        """Return st_nlink: names of a file, or 2 and one for each folder in a directory."""
        if not inode.is_dir:
            return inode.nlink
        return 2 + self.folder_counts.get(inode.ino, 0)

    @cached_property
    def folder_counts(self) -> dict[int, int]:
        """How many directories each directory holds, where that is not none."""
        return self.source.folder_counts()

    @cached_property
    def large_folders(self) -> set[int]:
        """The directories that have so many entries that none is looked at on a guess."""
        return self.source.large_folders()

    @cached_property
    def totals(self) -> tuple[int, int]:
        """How many inodes there are and how many bytes the files have."""
        return self.source.totals()

    @cached_property
    def data_bytes(self) -> dict[int, int]:
        """How many bytes of each sparse file are not holes."""
        return self.source.data_bytes()

    @cached_property
    def xattr_names(self) -> set[bytes]:
        """The names of all extended attributes in use."""
        return self.source.xattr_names()

    @property
    def has_xattrs(self) -> bool:
        """Whether anything has an extended attribute."""
        return bool(self.xattr_names)

    @property
    def has_acls(self) -> bool:
        """Whether anything has an access control list."""
        return any(name.startswith(b"system.posix_acl_") for name in self.xattr_names)

    @property
    def has_holes(self) -> bool:
        """Whether any file is sparse."""
        return bool(self.data_bytes)

    def stat_blocks(self, inode: Inode) -> int:
        """Return st_blocks: units of 512 bytes that hold data."""
        if not inode.is_file:
            return 0
        return -(-self.data_bytes.get(inode.content_ino, inode.size) // 512)

    def target(self, inode: Inode) -> bytes:
        """Return where a symbolic link leads."""
        return self.meta(inode).target or b""

    def meta(self, inode: Inode) -> Meta:
        """Return what an inode has beyond its row; hard links share the first name's."""
        return self.source.meta(inode.content_ino) or NO_META

    def blocks(self, inode: Inode) -> list[Block]:
        """Return the blocks of a file."""
        return self.source.blocks(inode.content_ino)

    def parts(self, block: Block) -> bytes | None:
        """Return how a block can be read in parts, if that is known."""
        return self.source.parts(block.id)

    def small_blocks(self, inode: Inode) -> dict[int, Block]:
        """Return the blocks of some small files of a directory, from `inode` on."""
        return self.source.small_blocks(inode.parent, inode.ino)
