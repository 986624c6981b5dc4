"""Fetches what will probably be read next from far away, before it is asked for.

Who needs one small file of a directory will need its neighbours: programs come in such directories
(modules, byte code, locales), and a round trip for each file is what starting them over a network
takes. A wrong guess costs bytes, up to a limit for each directory; a failure is silent, since the
block is fetched again when somebody really reads it.

The bytes go to the memory and cache of the reader's fetcher, not into the kernel's page cache
(FUSE_NOTIFY_STORE): that waits for pages which only an answered read lets go, and a process killed
while it waits there could not end, nor could the readers of its mount.
"""

import contextlib
import threading
from collections.abc import Iterable
from queue import SimpleQueue
from typing import NamedTuple

from flist.model import Inode
from flist.reader import Reader

THREADS = 16
SMALL_BYTES = 128 * 1024
DIRECTORY_BYTES = 4 << 20
"""So much of a directory's small files is fetched for the sake of one, counted unpacked."""
MAX_WAITING = 1000
KEPT_DIRECTORIES = 4096


class Job(NamedTuple):
    """A small file to fetch."""

    reader: Reader
    inode: Inode


class Ahead:
    """Fetches neighbours in threads of its own; `note` is for one thread only."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Job | None] = SimpleQueue()
        self.directories: set[tuple[int, int]] = set()
        self.is_closed = False
        self.threads = 0

    def note(self, reader: Reader, inode: Inode) -> None:
        """Look at a read whose bytes have to be fetched from afar, and guess."""
        place = (id(reader), inode.parent)
        if inode.size > SMALL_BYTES or place in self.directories:
            return
        if len(self.directories) >= KEPT_DIRECTORIES:
            self.directories.clear()
        self.directories.add(place)
        with contextlib.suppress(Exception):  # a guess must not make a read fail
            entries = list(reader.tree.entries(inode.parent).values())
            for neighbour in choose_neighbours(entries, inode):
                self.add(Job(reader, neighbour))

    def add(self, job: Job) -> None:
        """Have a file fetched, unless many wait already."""
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
                job.reader.load_small(job.inode)

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
