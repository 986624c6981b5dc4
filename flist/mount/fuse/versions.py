"""The versions of a flist under one mount, and the node numbers of their inodes.

A node number is an inode number with the version's index above it. So the server stores nothing
per node, and open files keep their content when a new version is added. The root has the same
number in every version; it always shows the newest one.
"""

from typing import NamedTuple

from flist.errors import FlistError
from flist.model import ROOT_INO, Inode
from flist.mount.fuse import wire
from flist.mount.reader import Reader
from flist.mount.tree import Tree

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
    """The versions in the order in which they were added. One thread looks nodes up; another may
    add a version meanwhile.

    With `expects_xattrs` a later version may have extended attributes although the first has none.
    """

    def __init__(self, reader: Reader) -> None:
        self.readers = [reader]
        self.expects_xattrs = False

    def locate(self, nodeid: int) -> Place:
        """Return what a node number stands for; raises `FileNotFoundError`."""
        if nodeid == ROOT_INO:
            return Place(len(self.readers) - 1, ROOT_INO)
        version = nodeid >> VERSION_SHIFT
        if version >= len(self.readers):
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

    def fields(self, version: int, inode: Inode) -> tuple[int, ...]:
        """Return the fields of struct fuse_attr; the first one is the node number."""
        tree = self.readers[version].tree
        fields = wire.attributes(inode, tree.link_count(inode), tree.stat_blocks(inode))
        if version and inode.ino != ROOT_INO:
            return (fields[0] | version << VERSION_SHIFT, *fields[1:])
        return fields

    @property
    def has_xattrs(self) -> bool:
        """Whether the kernel shall ask for extended attributes. The first version decides."""
        return self.expects_xattrs or self.readers[0].tree.has_xattrs

    @property
    def has_acls(self) -> bool:
        """Whether the kernel shall check access control lists. The first version decides."""
        return self.expects_xattrs or self.readers[0].tree.has_acls

    def add(self, reader: Reader) -> list[bytes]:
        """Show another version from now on.

        Returns the names in the old and in the new root directory, which the kernel may have
        cached. Raises `FlistError` if the version has what the kernel will not ask for.
        """
        for name, is_new in (
            ("extended attributes", reader.tree.has_xattrs and not self.has_xattrs),
            ("access lists", reader.tree.has_acls and not self.has_acls),
        ):
            if is_new:
                raise FlistError(
                    f"cannot change the flist: the new one has {name}, the first had none",
                    hint="the kernel does not ask for them; mount again, with --xattrs",
                )
        old = self.readers[-1].tree
        names = old.entries(ROOT_INO).keys() | reader.tree.entries(ROOT_INO).keys()
        self.readers.append(reader)
        return sorted(names)
