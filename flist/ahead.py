"""Fetches what will probably be read next from far away, before it is asked for.

Who needs one small file of a directory will need its neighbours: programs come in such directories
(modules, byte code, locales), and a round trip for each file is what starting them over a network
takes. Who reads the start of a program or library will need most of its other chunks. A wrong guess
costs bytes, up to a limit for each directory and file; a failure is silent, since the block is
fetched again when somebody really reads it.

The bytes go to the memory and cache of the reader's fetcher, not into the kernel's page cache
(FUSE_NOTIFY_STORE): that waits for pages which only an answered read lets go, and a process killed
while it waits there could not end, nor could the readers of its mount.
"""

import contextlib
import threading
from collections.abc import Iterable
from queue import SimpleQueue
from typing import NamedTuple

from flist.model import Inode, chunk_count
from flist.reader import Reader

THREADS = 16
SMALL_BYTES = 128 * 1024
DIRECTORY_BYTES = 4 << 20
"""So much of a directory's small files is fetched for the sake of one, counted unpacked."""
WHOLE_BYTES = 8 << 20
"""Files up to this are fetched whole, if there is a cache that holds them until they are read."""
MAX_WAITING = 1000
KEPT_PLACES = 4096


class Job(NamedTuple):
    """A chunk of a file to fetch."""

    reader: Reader
    inode: Inode
    chunk: int


class Ahead:
    """Fetches neighbours in threads of its own; `note` is for one thread only."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Job | None] = SimpleQueue()
        self.places: set[tuple[int, int]] = set()
        self.is_closed = False
        self.threads = 0

    def note(self, reader: Reader, inode: Inode) -> None:
        """Look at a read whose bytes have to be fetched from afar, and guess."""
        is_small = inode.size <= SMALL_BYTES
        place = (id(reader), inode.parent if is_small else inode.ino)
        if place in self.places:
            return
        if len(self.places) >= KEPT_PLACES:
            self.places.clear()
        self.places.add(place)
        with contextlib.suppress(Exception):  # a guess must not make a read fail
            if is_small:
                entries = list(reader.tree.entries(inode.parent).values())
                for neighbour in choose_neighbours(entries, inode):
                    self.add(Job(reader, neighbour, 0))
            elif inode.size <= WHOLE_BYTES and reader.fetcher.cache is not None:
                for index in range(chunk_count(inode.size)):
                    self.add(Job(reader, inode, index))

    def add(self, job: Job) -> None:
        """Have a chunk fetched, unless many wait already."""
        if self.queue.qsize() >= MAX_WAITING:
            return
        self.queue.put(job)
        if self.threads < THREADS:
            threading.Thread(target=self.work, daemon=True).start()
            self.threads += 1

    def work(self) -> None:
        """Fetch what was guessed, until `close`."""
        while (job := self.queue.get()) is not None and not self.is_closed:
            with contextlib.suppress(Exception):  # it is told to whoever really reads it
                job.reader.load(job.inode, job.chunk)

    def close(self) -> None:
        """Begin nothing more; what is under way is not waited for."""
        self.is_closed = True
        for _ in range(self.threads):
            self.queue.put(None)


def choose_neighbours(entries: list[Inode], inode: Inode) -> Iterable[Inode]:
    """Give the small files of a directory: those after `inode`, then those before it, up to
    `DIRECTORY_BYTES`."""
    start = next((i for i, entry in enumerate(entries) if entry.ino == inode.ino), 0)
    left = DIRECTORY_BYTES
    for entry in entries[start + 1 :] + entries[:start]:
        if entry.is_file and 0 < entry.size <= min(SMALL_BYTES, left):
            left -= entry.size
            yield entry
