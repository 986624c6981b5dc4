"""Reads that wait for a store, answered by threads of their own.

So a slow store delays only the reads that need it: reads of other stores have other threads. A
read whose reader gets a signal is given up at once; its thread still waits for the store.
"""

import contextlib
import errno
import threading
from collections.abc import Hashable
from queue import SimpleQueue
from typing import NamedTuple

from common.errors import tell_traceback
from flist.errors import FlistError
from flist.model import CHUNK_BYTES, Inode
from flist.mount.ahead.ahead import Ahead
from flist.mount.failures import Failures
from flist.mount.fuse.connection import Connection
from flist.mount.reader import Reader
from flist.store.base import group

THREADS = 8
"""For the reads of one group of stores."""
MAX_LANES = 32


class WaitingRead(NamedTuple):
    """A READ request that has no answer yet."""

    unique: int
    reader: Reader
    inode: Inode
    size: int
    offset: int


class Lane:
    """The reads of blocks in the same stores, and how many threads answer them."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[WaitingRead] = SimpleQueue()
        self.threads = 0


class WaitingReads:
    """The waiting reads of one connection. `add` and `interrupt` are for one thread only."""

    def __init__(self, connection: Connection, failures: Failures, ahead: Ahead) -> None:
        self.connection = connection
        self.failures = failures
        self.ahead = ahead
        self.lanes: dict[Hashable, Lane] = {}
        self.pending: set[int] = set()

    def add(self, read: WaitingRead) -> None:
        """Queue a read, and fetch ahead what its reader will probably need next."""
        lane = self.find_lane(read)
        if lane.threads < THREADS:
            threading.Thread(target=self.answer_reads, args=(lane,), daemon=True).start()
            lane.threads += 1
        self.pending.add(read.unique)
        lane.queue.put(read)
        self.ahead.note(read.reader, read.inode)

    def find_lane(self, read: WaitingRead) -> Lane:
        """Return the lane of the stores that a read needs."""
        key = stores_of(read)
        if key not in self.lanes and len(self.lanes) >= MAX_LANES:
            key = None
        return self.lanes.setdefault(key, Lane())

    def interrupt(self, unique: int) -> None:
        """Refuse a read whose reader was killed or got a signal, if it still waits."""
        try:
            self.pending.remove(unique)
        except KeyError:
            return
        self.connection.refuse(unique, errno.EINTR)

    def answer_reads(self, lane: Lane) -> None:
        """Answer the reads of a lane for as long as the process lives: the body of each thread."""
        while True:
            unique, reader, inode, size, offset = lane.queue.get()
            try:
                self.finish(unique, reader.read(inode, size, offset))
            except FlistError as error:
                self.finish(unique, None)
                self.failures.note_read(reader, inode, size, offset, error)
            except Exception:  # such as MemoryError: this read fails, the thread goes on
                self.finish(unique, None)
                with contextlib.suppress(Exception):
                    tell_traceback()

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


def stores_of(read: WaitingRead) -> Hashable:
    """Return a value that reads have in common if they need the same stores."""
    store = read.reader.fetcher.store
    if store is None or not read.size:
        return None
    try:
        blocks = read.reader.blocks(read.inode)
    except FlistError:
        return None  # the read itself will report it
    first, last = read.offset // CHUNK_BYTES, (read.offset + read.size - 1) // CHUNK_BYTES
    return frozenset(group(store, block.id) for block in blocks[first : last + 1])
