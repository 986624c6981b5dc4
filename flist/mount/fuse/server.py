"""Serves a mount through /dev/fuse without libfuse: connect, answer requests in a loop, disconnect.

The kernel gets names and attributes with year-long timeouts, whole directories at once
(READDIRPLUS), and ENOSYS for OPEN and OPENDIR, so it sends as few requests as possible. One thread
answers everything that is on this machine. Reads that need a store go to other threads.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from common.errors import tell_traceback
from flist.blocks.collector import collect_rarely
from flist.blocks.malloc import keep_buffers
from flist.errors import FlistError
from flist.model import ROOT_INO
from flist.mount.ahead.ahead import Ahead
from flist.mount.ahead.sequence import Sequence, start_sequence
from flist.mount.attach import SAFE, attach, detach, disconnect, widen_read_ahead
from flist.mount.failures import Failures
from flist.mount.fuse import wire
from flist.mount.fuse.connection import Connection
from flist.mount.fuse.handlers import Handlers
from flist.mount.fuse.stopping import Stop, Stopping, stop_on_signals
from flist.mount.fuse.versions import INO_MASK, Versions
from flist.mount.fuse.waiting import WaitingReads
from flist.mount.reader import Reader

BUFFER_BYTES = 64 * 1024
UNMOUNTED = frozenset((errno.ENODEV, errno.ENOTCONN))
FORGETTING = frozenset((wire.FORGET, wire.BATCH_FORGET))
WITHDRAWN = frozenset((errno.ENOENT, errno.EINTR, errno.EAGAIN))
"""The kernel has withdrawn the request that we were about to read."""


def serve(
    reader: Reader,
    target: Path,
    ready: Callable[[], None],
    started: Callable[["Server"], None] = lambda _server: None,
    flags: int = SAFE,
) -> None:
    """Mount on `target` and answer until it is unmounted, or SIGTERM, SIGINT or SIGHUP comes.

    `started` is called with the server before it answers the first request, `ready` when the mount
    is up. `flags` are those of the mount. For the main thread, before any other thread runs.
    Raises `FlistError`.
    """
    target = target.resolve()
    collect_rarely()
    keep_buffers()
    with (
        start_sequence(reader) as sequence,
        stop_on_signals() as stopping,
        contextlib.suppress(Stop),
    ):
        handle = attach(target, flags)
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


class Server:
    """Answers the requests of one connection."""

    def __init__(
        self,
        reader: Reader,
        handle: int,
        target: Path,
        ready: Callable[[], None],
        sequence: Sequence | None = None,
    ) -> None:
        self.target = target
        self.ready = ready
        self.versions = Versions(reader)
        self.ahead = Ahead()
        self.failures = Failures(target)
        self.connection = Connection(handle)
        self.lock = threading.Lock()  # held while a request is answered, and for a version's end
        reads = WaitingReads(self.connection, self.failures, self.ahead)
        self.handlers = Handlers(self.versions, self.connection, reads, sequence)

    def run(self, stopping: Stopping) -> None:
        """Answer requests until the connection ends, or a signal asks to stop."""
        buffer = bytearray(BUFFER_BYTES)
        view = memoryview(buffer)
        while not stopping.is_asked:
            stopping.is_idle = True
            try:
                length = os.readv(self.connection.handle, [buffer])
            except OSError as error:
                if error.errno in WITHDRAWN:
                    continue
                if error.errno in UNMOUNTED:
                    break
                raise
            stopping.is_idle = False
            self.answer(wire.parse_request(view[:length]))
        stopping.is_idle = False

    def answer(self, request: wire.Request) -> None:
        """Answer one request. Whatever goes wrong becomes an error number for the kernel."""
        handler = self.handlers.table.get(request.opcode)
        refuse = self.connection.refuse
        if handler is None:
            if request.opcode not in wire.NO_REPLY:
                refuse(request.unique, errno.ENOSYS)
            return
        try:
            with self.lock:
                data = handler(request)
            if data is not None:
                self.connection.reply(request.unique, data)
        except FileNotFoundError:
            refuse(request.unique, errno.ENOENT)
        except OSError as error:
            refuse(request.unique, error.errno or errno.EIO)
        except FlistError as error:
            refuse(request.unique, errno.EIO)
            self.note_failure(request, error)
        except Exception:  # one bad entry must not end the mount for everybody
            tell_traceback()
            refuse(request.unique, errno.EIO)
        else:
            if request.opcode == wire.INIT:
                widen_read_ahead(self.target)
                self.ready()
            elif request.opcode in FORGETTING and self.versions.newest:
                self.close_forgotten()

    def note_failure(self, request: wire.Request, error: FlistError) -> None:
        """Report why a request failed: the kernel passes on an error number only."""
        try:
            reader, inode = self.versions.find(request.nodeid)
        except (FlistError, FileNotFoundError):
            self.failures.note(f"access inode {request.nodeid & INO_MASK}", error)
            return
        if request.opcode == wire.READ:
            _, offset, size, _ = wire.READ_IN.unpack_from(request.body)
            self.failures.note_read(reader, inode, size, offset, error)
        else:
            self.failures.note_inode(reader.tree, inode, error)

    def switch(self, reader: Reader) -> None:
        """Show another version from now on; open files keep their content.

        For another thread than that of `run`: the kernel may send requests before it accepts a
        notification. Raises `FlistError`.
        """
        for name in self.versions.add(reader):
            self.connection.notify(wire.forget_entry(ROOT_INO, name))
        self.connection.notify(wire.forget_inode(ROOT_INO))
        self.close_forgotten()

    def close_forgotten(self) -> None:
        """Close older versions of which the kernel knows no node, in a thread: a store may hang."""
        with self.lock:
            readers = self.versions.sweep()
        if readers:
            self.ahead.forget_places()
            threading.Thread(target=close_all, args=(readers,), daemon=True).start()


def close_all(readers: Iterable[Reader]) -> None:
    """Close some versions."""
    for reader in readers:
        with contextlib.suppress(Exception):
            reader.close()
