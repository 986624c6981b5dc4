"""The answer to each kind of request of the kernel.

A handler returns the data of its reply, or None after it has replied itself or left that to a
thread. What it raises becomes an error number: `FileNotFoundError` ENOENT, `OSError` its own,
`FlistError` EIO.
"""

import errno
from collections.abc import Callable

from flist.model import NAME_MAX_BYTES, ROOT_INO
from flist.mount.ahead.sequence import Sequence
from flist.mount.fuse import wire
from flist.mount.fuse.connection import Connection
from flist.mount.fuse.listing import Listings, Question
from flist.mount.fuse.versions import VERSION_SHIFT, Versions
from flist.mount.fuse.waiting import WaitingRead, WaitingReads

SEEK_DATA, SEEK_HOLE = 3, 4

Handler = Callable[[wire.Request], bytes | None]


class Handlers:
    """The handlers of one connection; `table` has them by opcode. For one thread only."""

    def __init__(
        self,
        versions: Versions,
        connection: Connection,
        reads: WaitingReads,
        sequence: Sequence | None = None,
    ) -> None:
        self.versions = versions
        self.connection = connection
        self.reads = reads
        self.sequence = sequence
        self.listings = Listings(versions.tree, versions.fields)
        self.table: dict[int, Handler] = {
            wire.INIT: self.init,
            wire.LOOKUP: self.lookup,
            wire.GETATTR: self.getattr,
            wire.READLINK: self.readlink,
            wire.READ: self.read,
            wire.READDIR: self.readdir,
            wire.READDIRPLUS: self.readdirplus,
            wire.STATFS: self.statfs,
            wire.GETXATTR: self.getxattr,
            wire.LISTXATTR: self.listxattr,
            wire.LSEEK: self.lseek,
            wire.INTERRUPT: self.interrupt,
            wire.FORGET: self.forget,
            wire.BATCH_FORGET: self.forget,
        }

    def init(self, request: wire.Request) -> bytes:
        """Agree on the features of the connection."""
        wanted = wire.WANTED | (wire.POSIX_ACL if self.versions.has_acls else 0)
        return wire.init_reply(request.body, wanted)

    def lookup(self, request: wire.Request) -> None:
        """Find a name in a directory."""
        version, ino = self.versions.locate(request.nodeid)
        name = bytes(request.body[:-1])
        if len(name) > NAME_MAX_BYTES:
            raise OSError(errno.ENAMETOOLONG, "")
        inode = self.versions.tree(version).lookup(ino, name)
        if inode is None:
            self.connection.reply(request.unique, wire.absent_reply())
            return
        reply = wire.entry_reply(self.versions.fields(version, inode))
        if self.connection.reply(request.unique, reply):
            self.versions.note_lookups(version, 1)

    def forget(self, request: wire.Request) -> None:
        """Note that the kernel has forgotten nodes."""
        for nodeid, count in wire.parse_forget(request):
            if nodeid != ROOT_INO:
                self.versions.note_lookups(nodeid >> VERSION_SHIFT, -count)

    def getattr(self, request: wire.Request) -> bytes:
        """Return the attributes of a node."""
        version, ino = self.versions.locate(request.nodeid)
        inode = self.versions.tree(version).inode(ino)
        return wire.attr_reply(self.versions.fields(version, inode))

    def readlink(self, request: wire.Request) -> bytes:
        """Return the target of a symbolic link."""
        reader, inode = self.versions.find(request.nodeid)
        return reader.tree.target(inode)

    def statfs(self, _request: wire.Request) -> bytes:
        """Return the numbers that df shows, of the newest version."""
        inodes, size = self.versions.tree(self.versions.newest).totals
        return wire.statfs_reply(size, inodes)

    def question(self, request: wire.Request) -> Question:
        """Return which part of which directory a request wants."""
        _, offset, size, _ = wire.READ_IN.unpack_from(request.body)
        return Question(self.versions.locate(request.nodeid), offset, size)

    def readdirplus(self, request: wire.Request) -> None:
        """Send a part of a directory. After its end, prepare the directory that a walk of the tree
        reaches next."""
        question = self.question(request)
        data = self.listings.answer(question)
        if self.connection.reply(request.unique, data):
            self.versions.note_lookups(question.place.version, self.listings.nodes)
        if not data:
            self.listings.foresee(question)

    def readdir(self, request: wire.Request) -> bytes:
        """Return a part of a directory, without attributes."""
        return self.listings.names(self.question(request))

    def read(self, request: wire.Request) -> None:
        """Send bytes of a file if they are on this machine, or else leave the read to a thread."""
        _, offset, size, _ = wire.READ_IN.unpack_from(request.body)
        reader, inode = self.versions.find(request.nodeid)
        if self.sequence is not None and offset < inode.size:
            self.sequence.note(reader, inode, offset, size)
        pieces = reader.read_now(inode, size, offset)
        if pieces is not None:
            self.connection.reply(request.unique, *pieces)
        else:
            self.reads.add(WaitingRead(request.unique, reader, inode, size, offset))

    def interrupt(self, request: wire.Request) -> None:
        """Give up a read that waits."""
        self.reads.interrupt(*wire.UNIQUE_IN.unpack_from(request.body))

    def getxattr(self, request: wire.Request) -> bytes:
        """Return one extended attribute, or its size."""
        size, _ = wire.SIZE_IN.unpack_from(request.body)
        name = bytes(request.body[wire.SIZE_IN.size : -1])
        value = dict(self.xattrs(request)).get(name)
        if value is None:
            raise OSError(errno.ENODATA, "")
        return fit(value, size)

    def listxattr(self, request: wire.Request) -> bytes:
        """Return the names of all extended attributes, or their size."""
        size, _ = wire.SIZE_IN.unpack_from(request.body)
        return fit(b"".join(name + b"\0" for name, _ in self.xattrs(request)), size)

    def xattrs(self, request: wire.Request) -> tuple[tuple[bytes, bytes], ...]:
        """Return the extended attributes of a node. After ENOSYS the kernel never asks again."""
        reader, inode = self.versions.find(request.nodeid)
        if not self.versions.has_xattrs:
            raise OSError(errno.ENOSYS, "")
        return reader.tree.meta(inode).xattrs

    def lseek(self, request: wire.Request) -> bytes:
        """Return where the next data or hole begins."""
        reader, inode = self.versions.find(request.nodeid)
        if not reader.tree.has_holes:
            raise OSError(errno.ENOSYS, "")
        _, offset, whence = wire.LSEEK_IN.unpack_from(request.body)
        if whence not in (SEEK_DATA, SEEK_HOLE):
            raise OSError(errno.EINVAL, "")
        found = reader.seek(inode, offset, is_data=whence == SEEK_DATA)
        if found is None:
            raise OSError(errno.ENXIO, "")
        return wire.LSEEK_OUT.pack(found)


def fit(value: bytes, size: int) -> bytes:
    """Return `value`, or its length if the caller asks for that (`size` is 0). Raises `OSError`
    (ERANGE) if the value is longer than `size`."""
    if size == 0:
        return wire.SIZE_IN.pack(len(value), 0)
    if len(value) > size:
        raise OSError(errno.ERANGE, "")
    return value
