"""Reads that wait for a store, answered by threads of their own.

So a slow store delays only the reads that need it. A read whose reader gets a signal is given up at
once; its thread still waits for the store.
"""

import contextlib
import errno
import threading
import traceback
from queue import SimpleQueue
from typing import NamedTuple

from flist.errors import FlistError
from flist.model import Inode
from flist.mount.ahead.ahead import Ahead
from flist.mount.failures import Failures
from flist.mount.fuse.connection import Connection
from flist.mount.reader import Reader

THREADS = 8


class WaitingRead(NamedTuple):
    """A READ request that has no answer yet."""

    unique: int
    reader: Reader
    inode: Inode
    size: int
    offset: int


class WaitingReads:
    """The waiting reads of one connection. `add` and `interrupt` are for one thread only."""

    def __init__(self, connection: Connection, failures: Failures, ahead: Ahead) -> None:
        self.connection = connection
        self.failures = failures
        self.ahead = ahead
        self.queue: SimpleQueue[WaitingRead] = SimpleQueue()
        self.pending: set[int] = set()
        self.threads = 0

    def add(self, read: WaitingRead) -> None:
        """Queue a read, and fetch ahead what its reader will probably need next."""
        if self.threads < THREADS:
            threading.Thread(target=self.answer_reads, daemon=True).start()
            self.threads += 1
        self.pending.add(read.unique)
        self.queue.put(read)
        self.ahead.note(read.reader, read.inode)

    def interrupt(self, unique: int) -> None:
        """Refuse a read whose reader was killed or got a signal, if it still waits."""
        try:
            self.pending.remove(unique)
        except KeyError:
            return
        self.connection.refuse(unique, errno.EINTR)

    def answer_reads(self) -> None:
        """Answer reads for as long as the process lives: the body of each thread."""
        while True:
            unique, reader, inode, size, offset = self.queue.get()
            try:
                self.finish(unique, reader.read(inode, size, offset))
            except FlistError as error:
                self.finish(unique, None)
                self.failures.note_read(reader, inode, size, offset, error)
            except Exception:  # such as MemoryError: this read fails, the thread goes on
                self.finish(unique, None)
                with contextlib.suppress(Exception):
                    traceback.print_exc()

    def finish(self, unique: int, data: bytes | None) -> None:
        """Answer a read with its bytes, or with EIO for None, unless it was interrupted."""
        try:
            self.pending.remove(unique)
        except KeyError:
            return
        with contextlib.suppress(OSError):  # the connection may have ended meanwhile
            if data is None:
                self.connection.refuse(unique, errno.EIO)
            else:
                self.connection.reply(unique, data)
