"""The versions of a flist under one mount, and the node numbers of their inodes.

A node number is an inode number with the version's index above it. So the server stores nothing
per node, and open files keep their content when a new version is added. The root has the same
number in every version; it always shows the newest one. The kernel says which nodes it has
forgotten, so an older version of which it knows no node any more can be closed.
"""

import threading
from functools import cached_property
from typing import NamedTuple

from flist.errors import FlistError
from flist.model import ROOT_INO, Inode
from flist.mount.fuse import wire
from flist.mount.reader import Reader
from flist.mount.tree import Tree, has_access_lists
from flist.store.fetch import Statistics

VERSION_SHIFT = 40
INO_MASK = (1 << VERSION_SHIFT) - 1


class Place(NamedTuple):
    """What a node number stands for: the index of a version, and an inode number in it."""

    version: int
    ino: int

    @property
    def nodeid(self) -> int:
        """The node number."""
        if self.ino == ROOT_INO:
            return ROOT_INO
        return self.ino | self.version << VERSION_SHIFT


class Versions:
    """The versions by their index in the order in which they were added: `readers` has those that
    are open, `lookups` how often the kernel was told of their nodes. `past` is what the others did.

    One thread looks nodes up; another may add a version meanwhile. With `expects_xattrs` a later
    version may have extended attributes although the first has none.
    """

    def __init__(self, reader: Reader) -> None:
        self.readers = {0: reader}
        self.lookups = {0: 0}
        self.newest = 0
        self.past = Statistics()
        self.expects_xattrs = False
        self.lock = threading.Lock()

    def locate(self, nodeid: int) -> Place:
        """Return what a node number stands for; raises `FileNotFoundError`."""
        if nodeid == ROOT_INO:
            return Place(self.newest, ROOT_INO)
        version = nodeid >> VERSION_SHIFT
        if version not in self.readers:
            raise FileNotFoundError(nodeid)
        return Place(version, nodeid & INO_MASK)

    def find(self, nodeid: int) -> tuple[Reader, Inode]:
        """Return a node's version and inode; raises `FileNotFoundError`."""
        version, ino = self.locate(nodeid)
        reader = self.readers[version]
        return reader, reader.tree.inode(ino)

    def tree(self, version: int) -> Tree:
        """Return the tree of a version."""
        return self.readers[version].tree

    def note_lookups(self, version: int, count: int) -> None:
        """Note that the kernel was told of nodes of a version; negative: that it forgot some."""
        if version in self.lookups:
            self.lookups[version] += count

    def sweep(self) -> list[Reader]:
        """Drop the older versions of which the kernel knows no node; return their readers, to be
        closed."""
        with self.lock:
            gone = [v for v, count in self.lookups.items() if count <= 0 and v != self.newest]
            readers = [self.readers[version] for version in gone]
            for version, reader in zip(gone, readers, strict=True):
                add_statistics(self.past, reader.fetcher.statistics)
                del self.readers[version], self.lookups[version]
        return readers

    def statistics(self) -> tuple[list[Statistics], int]:
        """Return what all versions have done, and their number."""
        with self.lock:
            every = [reader.fetcher.statistics for reader in self.readers.values()]
            return [self.past, *every], self.newest + 1

    def fields(self, version: int, inode: Inode) -> tuple[int, ...]:
        """Return the fields of struct fuse_attr; the first one is the node number."""
        tree = self.readers[version].tree
        fields = wire.attributes(inode, tree.link_count(inode), tree.stat_blocks(inode))
        if version and inode.ino != ROOT_INO:
            return (fields[0] | version << VERSION_SHIFT, *fields[1:])
        return fields

    @cached_property
    def first_names(self) -> set[bytes]:
        """The names of the extended attributes in the first version."""
        return self.readers[0].tree.xattr_names

    @property
    def has_xattrs(self) -> bool:
        """Whether the kernel shall ask for extended attributes. The first version decides."""
        return self.expects_xattrs or bool(self.first_names)

    @property
    def has_acls(self) -> bool:
        """Whether the kernel shall check access control lists. The first version decides."""
        return self.expects_xattrs or has_access_lists(self.first_names)

    def add(self, reader: Reader) -> list[bytes]:
        """Show another version from now on.

        Returns the names in the old and in the new root directory, which the kernel may have
        cached. Raises `FlistError` if the version has what the kernel will not ask for.
        """
        has_xattrs = bool(self.first_names) or self.expects_xattrs
        has_acls = self.has_acls
        for name, is_new in (
            ("extended attributes", reader.tree.has_xattrs and not has_xattrs),
            ("access lists", reader.tree.has_acls and not has_acls),
        ):
            if is_new:
                raise FlistError(
                    f"cannot change the flist: the new one has {name}, the first had none",
                    hint="the kernel does not ask for them; mount again, with --xattrs",
                )
        old = self.readers[self.newest].tree
        names = old.entries(ROOT_INO).keys() | reader.tree.entries(ROOT_INO).keys()
        with self.lock:
            number = self.newest + 1
            self.readers[number] = reader
            self.lookups[number] = 0
            self.newest = number
        return sorted(names)


def add_statistics(total: Statistics, more: Statistics) -> None:
    """Add the counters of a version to `total`."""
    for name, value in vars(more).items():
        known = getattr(total, name)
        setattr(total, name, max(known, value) if name == "slowest_s" else known + value)
