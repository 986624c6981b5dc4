"""The mount without libfuse: our own loop on /dev/fuse.

The kernel is told everything with year-long timeouts, whole directories at once (READDIRPLUS), and
that there is nothing to open (ENOSYS), so it asks as little as possible. One thread answers what
is known at once; reads that need the network go to a few others, so nothing waits for them. Node
numbers are inode numbers (and above them the version of the flist, which can be exchanged under a
mount): nothing is remembered for the kernel.
"""

import contextlib
import errno
import os
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from flist.blocks.heap import collect_rarely, keep_buffers
from flist.errors import FlistError
from flist.model import ROOT_INO, Inode
from flist.mount.ahead.ahead import Ahead
from flist.mount.ahead.sequence import Sequence, start_sequence
from flist.mount.failures import Failures
from flist.mount.fuse import wire
from flist.mount.fuse.attach import attach, detach, disconnect, widen_read_ahead
from flist.mount.fuse.listing import INO_MASK, VERSION_SHIFT, Listings, Place, Question
from flist.mount.fuse.stopping import Stop, Stopping, stop_on_signals
from flist.mount.reader import Reader

BUFFER_BYTES = 64 * 1024
READERS = 8
SEEK_DATA, SEEK_HOLE = 3, 4
GONE = frozenset((errno.ENODEV, errno.ENOTCONN))
TAKEN_BACK = frozenset((errno.ENOENT, errno.EINTR, errno.EAGAIN))


def serve(
    reader: Reader,
    target: Path,
    ready: Callable[[], None],
    started: Callable[["Server"], None] = lambda _server: None,
) -> None:
    """Mount on `target` and answer until it is unmounted or SIGTERM or SIGINT comes.

    `started` is given the server before it answers the first request.
    """
    target = target.resolve()
    collect_rarely()
    keep_buffers()
    with (
        start_sequence(reader) as sequence,
        stop_on_signals() as stopping,
        contextlib.suppress(Stop),
    ):
        handle = attach(target)
        try:
            server = Server(reader, handle, target, ready, sequence)
            started(server)
            try:
                server.run(stopping)
            finally:
                server.ahead.close()
        finally:
            detach(target)
            disconnect(handle)


class Waiting(NamedTuple):
    """A read that waits for a thread."""

    unique: int
    reader: Reader
    inode: Inode
    size: int
    offset: int


class Server:
    """One connection to the kernel."""

    def __init__(
        self,
        reader: Reader,
        handle: int,
        target: Path,
        ready: Callable[[], None],
        sequence: Sequence | None = None,
    ) -> None:
        self.readers = [reader]
        self.handle = handle
        self.target = target
        self.ready = ready
        self.waiting: SimpleQueue[Waiting] = SimpleQueue()
        self.pending: set[int] = set()
        self.listings = Listings(lambda version: self.readers[version].tree, self.fields)
        self.threads = 0
        self.ahead = Ahead()
        self.failures = Failures(target)
        self.sequence = sequence
        self.expects_xattrs = False  # in a later version, though the first may have none
        self.handlers: dict[int, Callable[[wire.Request], bytes | None]] = {
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
        }

    def run(self, stopping: Stopping) -> None:
        """Answer until the connection ends, or a signal says so."""
        buffer = bytearray(BUFFER_BYTES)
        view = memoryview(buffer)
        while not stopping.is_asked:
            stopping.is_idle = True
            try:
                length = os.readv(self.handle, [buffer])
            except OSError as error:
                if error.errno in TAKEN_BACK:
                    continue
                if error.errno in GONE:
                    break
                raise
            stopping.is_idle = False
            self.answer(wire.parse_request(view[:length]))
        stopping.is_idle = False

    def answer(self, request: wire.Request) -> None:
        """Answer one request; whatever goes wrong is an error number for the kernel."""
        handler = self.handlers.get(request.opcode)
        if handler is None:
            if request.opcode not in wire.NO_REPLY:
                self.refuse(request.unique, errno.ENOSYS)
            return
        try:
            data = handler(request)
            if data is not None:
                self.reply(request.unique, data)
        except FileNotFoundError:
            self.refuse(request.unique, errno.ENOENT)
        except OSError as error:
            self.refuse(request.unique, error.errno or errno.EIO)
        except FlistError as error:
            self.refuse(request.unique, errno.EIO)
            self.failures.note_request(request, error, self.find)
        except Exception:  # one bad entry must not take the mount away from everybody
            traceback.print_exc()
            self.refuse(request.unique, errno.EIO)
        else:
            if request.opcode == wire.INIT:
                widen_read_ahead(self.target)
                self.ready()

    def switch(self, reader: Reader) -> None:
        """Show another version from now on; what is open stays what it was.

        Called in another thread than `run`: the kernel may ask before it has forgotten.
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
        for message in (
            *(wire.forget_entry(ROOT_INO, name) for name in sorted(names)),
            wire.forget_inode(ROOT_INO),
        ):
            with contextlib.suppress(OSError):  # the kernel did not know it
                os.write(self.handle, message)

    @property
    def has_xattrs(self) -> bool:
        """Whether the kernel is to ask for attributes; settled by the first version, for all."""
        return self.expects_xattrs or self.readers[0].tree.has_xattrs

    @property
    def has_acls(self) -> bool:
        """Whether the kernel is to check access lists; settled likewise."""
        return self.expects_xattrs or self.readers[0].tree.has_acls

    def reply(self, unique: int, *pieces: bytes | memoryview) -> None:
        """Send an answer; a request that was interrupted meanwhile is not there any more."""
        length = wire.OUT_HEADER.size
        for piece in pieces:
            length += len(piece)
        try:  # noqa: SIM105 - this is called for every answer
            os.writev(self.handle, (wire.OUT_HEADER.pack(length, 0, unique), *pieces))
        except FileNotFoundError:
            pass

    def refuse(self, unique: int, number: int) -> None:
        """Send an error number."""
        header = wire.OUT_HEADER.pack(wire.OUT_HEADER.size, -number, unique)
        with contextlib.suppress(FileNotFoundError):
            os.write(self.handle, header)

    def locate(self, nodeid: int) -> Place:
        """Return which version of the flist a node belongs to, and its inode number there."""
        if nodeid == ROOT_INO:
            return Place(len(self.readers) - 1, ROOT_INO)
        version = nodeid >> VERSION_SHIFT
        if version >= len(self.readers):
            raise FileNotFoundError(nodeid)
        return Place(version, nodeid & INO_MASK)

    def find(self, nodeid: int) -> tuple[Reader, Inode]:
        """Return a node's version and inode."""
        version, ino = self.locate(nodeid)
        reader = self.readers[version]
        return reader, reader.tree.inode(ino)

    def fields(self, version: int, inode: Inode) -> tuple[int, ...]:
        """Return an inode's attributes as the protocol has them, with its node number first."""
        tree = self.readers[version].tree
        fields = wire.attributes(inode, tree.link_count(inode), tree.stat_blocks(inode))
        if version and inode.ino != ROOT_INO:
            return (fields[0] | version << VERSION_SHIFT, *fields[1:])
        return fields

    def init(self, request: wire.Request) -> bytes:
        """Agree on what both sides can."""
        wanted = wire.WANTED | (wire.POSIX_ACL if self.has_acls else 0)
        return wire.init_reply(request.body, wanted)

    def lookup(self, request: wire.Request) -> bytes:
        """Find a name in a directory."""
        version, ino = self.locate(request.nodeid)
        inode = self.readers[version].tree.lookup(ino, bytes(request.body[:-1]))
        if inode is None:
            return wire.absent_reply()
        return wire.entry_reply(self.fields(version, inode))

    def getattr(self, request: wire.Request) -> bytes:
        """Return attributes."""
        version, ino = self.locate(request.nodeid)
        return wire.attr_reply(self.fields(version, self.readers[version].tree.inode(ino)))

    def readlink(self, request: wire.Request) -> bytes:
        """Return where a link leads."""
        reader, inode = self.find(request.nodeid)
        return reader.tree.target(inode)

    def statfs(self, request: wire.Request) -> bytes:
        """Return what df shows."""
        del request
        inodes, size = self.readers[-1].tree.totals
        return wire.statfs_reply(size, inodes)

    def question(self, request: wire.Request) -> Question:
        """Return what part of which directory is asked for."""
        _, offset, size, _ = wire.READ_IN.unpack_from(request.body)
        return Question(self.locate(request.nodeid), offset, size)

    def readdirplus(self, request: wire.Request) -> None:
        """Send a part of a directory, and get ready for the next one when it was the last."""
        question = self.question(request)
        data = self.listings.answer(question)
        self.reply(request.unique, data)
        if not data:
            self.listings.foresee(question)

    def readdir(self, request: wire.Request) -> bytes:
        """Return a part of a directory, names only."""
        return self.listings.names(self.question(request))

    def read(self, request: wire.Request) -> None:
        """Send bytes of a file at once, or hand the request to a thread that may wait."""
        _, offset, size, _ = wire.READ_IN.unpack_from(request.body)
        reader, inode = self.find(request.nodeid)
        if self.sequence is not None and offset < inode.size:
            self.sequence.note(reader, inode, offset, size)
        pieces = reader.read_now(inode, size, offset)
        if pieces is not None:
            self.reply(request.unique, *pieces)
        else:
            if self.threads < READERS:
                threading.Thread(target=self.read_waiting, daemon=True).start()
                self.threads += 1
            self.pending.add(request.unique)
            self.waiting.put(Waiting(request.unique, reader, inode, size, offset))
            self.ahead.note(reader, inode)

    def read_waiting(self) -> None:
        """Answer the reads that have to wait for a store, in a thread that nothing ends."""
        while True:
            unique, reader, inode, size, offset = self.waiting.get()
            try:
                self.finish(unique, reader.read(inode, size, offset))
            except FlistError as error:
                self.finish(unique, None)
                self.failures.note_read(reader, inode, size, offset, error)
            except Exception:  # no memory, say: one read fails, the thread serves the next
                self.finish(unique, None)
                with contextlib.suppress(Exception):
                    traceback.print_exc()

    def finish(self, unique: int, data: bytes | None) -> None:
        """Answer a read that waited, unless its reader has gone."""
        try:
            self.pending.remove(unique)
        except KeyError:
            return
        with contextlib.suppress(OSError):  # the connection may have ended meanwhile
            if data is None:
                self.refuse(unique, errno.EIO)
            else:
                self.reply(unique, data)

    def interrupt(self, request: wire.Request) -> None:
        """Give up a read that waits: whoever asked was killed or got a signal."""
        (unique,) = wire.UNIQUE_IN.unpack_from(request.body)
        try:
            self.pending.remove(unique)
        except KeyError:
            return
        self.refuse(unique, errno.EINTR)

    def getxattr(self, request: wire.Request) -> bytes:
        """Return one extended attribute, or its size."""
        reader, inode = self.find(request.nodeid)
        if not self.has_xattrs:
            raise OSError(errno.ENOSYS, "")  # it never asks again
        size, _ = wire.SIZE_IN.unpack_from(request.body)
        name = bytes(request.body[wire.SIZE_IN.size : -1])
        value = dict(reader.tree.meta(inode).xattrs).get(name)
        if value is None:
            raise OSError(errno.ENODATA, "")
        return fit(value, size)

    def listxattr(self, request: wire.Request) -> bytes:
        """Return the names of extended attributes, or their size."""
        reader, inode = self.find(request.nodeid)
        if not self.has_xattrs:
            raise OSError(errno.ENOSYS, "")  # it never asks again
        size, _ = wire.SIZE_IN.unpack_from(request.body)
        pairs = reader.tree.meta(inode).xattrs
        return fit(b"".join(name + b"\0" for name, _ in pairs), size)

    def lseek(self, request: wire.Request) -> bytes:
        """Find the next data or hole."""
        reader, inode = self.find(request.nodeid)
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
    """Return `value` if it fits into `size`, or its length if that is what was asked (size 0)."""
    if size == 0:
        return wire.SIZE_IN.pack(len(value), 0)
    if len(value) > size:
        raise OSError(errno.ERANGE, "")
    return value
