"""A flist as a file system: names, directories, attributes. Does no I/O of its own.

Inodes are looked up by number. The directories that were used last are kept, up to a number of
entries, so memory use does not depend on the size of the flist.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from functools import cached_property
from typing import Protocol

from flist.model import NO_META, ROOT_INO, Block, Inode, Meta

KEPT_ENTRIES = 20_000
RECENT_INODES = 4096
PAGE_ENTRIES = 1024


class Source(Protocol):
    """The source of a tree's inodes: an open flist, or a dictionary in a test."""

    def inode(self, ino: int) -> Inode | None:
        """Return one inode."""

    def children(self, ino: int) -> list[Inode]:
        """Return the entries of a directory."""

    def child(self, folder: int, name: bytes) -> Inode | None:
        """Return one entry of a directory, or None."""

    def entries_after(self, folder: int, ino: int, limit: int) -> list[Inode]:
        """Return up to `limit` entries of a directory that were packed after inode `ino`."""

    def is_large(self, folder: int) -> bool:
        """Return whether a directory has so many entries that one is better looked up alone."""

    def blocks(self, ino: int) -> list[Block]:
        """Return the blocks of a file."""

    def block_rows(self, ino: int) -> range | None:
        """Return where the blocks of a file are, if `blocks_between` can read some of them."""

    def blocks_between(self, ino: int, rows: range, first: int) -> list[Block]:
        """Return the blocks of a file in some of its `block_rows`, from chunk `first` on."""

    def small_blocks(self, folder: int, start: int) -> dict[int, Block]:
        """Return the blocks of some files of a directory that have one block each, by inode."""

    def parts(self, block_id: bytes) -> bytes | None:
        """Return a block's row of parts (`flist.blocks.parts`), or None."""

    def meta(self, ino: int) -> Meta:
        """Return link target, extended attributes and data ranges."""

    def folder_counts(self) -> dict[int, int]:
        """Return the number of directories in each directory that has any."""

    def large_folders(self) -> set[int]:
        """Return the directories with very many entries."""

    def totals(self) -> tuple[int, int]:
        """Return the number of inodes, and the total size of the files."""

    def data_bytes(self) -> dict[int, int]:
        """Return the bytes of data of each sparse file."""

    def xattr_names(self) -> set[bytes]:
        """Return the names of all extended attributes in use."""


class Tree:
    """A flist as a file system. Safe to use from several threads."""

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
        """Return the entries of directory `ino` by name, in packing order."""
        with self.lock:
            known = self.directories.get(ino)
            if known is not None:
                self.directories.move_to_end(ino)
                return known
            children = self.source.children(ino)
            found: dict[bytes, Inode] = {}
            for child in children:
                found.setdefault(child.name, child)  # of two with one name the first is shown
            self.keep(ino, found)
            if len(self.recent) + len(found) > RECENT_INODES:
                self.recent.clear()
            self.recent.update((child.ino, child) for child in found.values() if child.is_file)
            return found

    def following(self, folder: int, ino: int) -> Iterator[Inode]:
        """Yield the entries of a directory that were packed after inode `ino` (0: all). A large
        directory is read page by page, and not kept."""
        if folder not in self.large_folders:
            yield from [entry for entry in self.entries(folder).values() if entry.ino > ino]
            return
        while page := self.source.entries_after(folder, ino, PAGE_ENTRIES):
            yield from page
            ino = page[-1].ino

    def keep(self, ino: int, entries: dict[bytes, Inode]) -> None:
        """Keep a directory, and drop the least recently used ones beyond the limit."""
        self.directories[ino] = entries
        self.kept += len(entries) + 1
        while self.kept > self.kept_entries and len(self.directories) > 1:
            _, old = self.directories.popitem(last=False)
            self.kept -= len(old) + 1

    def lookup(self, parent: int, name: bytes) -> Inode | None:
        """Return the entry `name` of directory `parent`, or None."""
        known = self.directories.get(parent)
        if known is None and self.source.is_large(parent):
            return self.source.child(parent, name)
        return self.entries(parent).get(name)

    def find(self, path: bytes) -> Inode:
        """Return the inode at an absolute path, without following links; raises
        `FileNotFoundError`."""
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
        """Return st_nlink: the names of a file; for a directory 2 plus the directories in it."""
        if not inode.is_dir:
            return inode.nlink
        return 2 + self.folder_counts.get(inode.ino, 0)

    @cached_property
    def folder_counts(self) -> dict[int, int]:
        """The number of directories in each directory that has any."""
        return self.source.folder_counts()

    @cached_property
    def large_folders(self) -> set[int]:
        """The directories with so many entries that they are read page by page."""
        return self.source.large_folders()

    @cached_property
    def totals(self) -> tuple[int, int]:
        """The number of inodes, and the total size of the files."""
        return self.source.totals()

    @cached_property
    def data_bytes(self) -> dict[int, int]:
        """The bytes of data of each sparse file."""
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
        return has_access_lists(self.xattr_names)

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
        """Return the target of a symbolic link."""
        return self.meta(inode).target or b""

    def meta(self, inode: Inode) -> Meta:
        """Return the metadata of an inode; hard links share that of the first name."""
        return self.source.meta(inode.content_ino) or NO_META

    def blocks(self, inode: Inode) -> list[Block]:
        """Return the blocks of a file."""
        return self.source.blocks(inode.content_ino)

    def parts(self, block: Block) -> bytes | None:
        """Return a block's row of parts, or None."""
        return self.source.parts(block.id)

    def small_blocks(self, inode: Inode) -> dict[int, Block]:
        """Return the blocks of some small files of a directory from `inode` on, by number."""
        return self.source.small_blocks(inode.parent, inode.ino)


def has_access_lists(names: set[bytes]) -> bool:
    """Return whether access control lists are among these extended attributes."""
    return any(name.startswith(b"system.posix_acl_") for name in names)
