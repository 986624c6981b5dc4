"""Fetches from a remote store what will probably be read next.

A process that reads one small file will read its neighbours: programs come in directories of small
files (modules, byte code, locales), and a round trip for each is most of the time that they take to
start over a network. A process that starts a program needs most of its chunks, its interpreter and
its libraries, which the loader would read one after the other. A wrong guess costs bytes, up to a
limit per file, program and family of small files. A failure is silent: a real read fetches the
block again and reports the error.

Real reads have threads of their own and come first. At most about as much is fetched here at one
time as a slow link holds, so that real reads do not wait long behind it.

The bytes go to the memory and cache of the reader's fetcher, not to the kernel's page cache
(FUSE_NOTIFY_STORE). A store into that waits for pages that only an answered read unlocks. A process
that is killed while it waits there cannot end, nor can the readers of its mount.
"""

import contextlib
import itertools
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from flist.model import CHUNK_BYTES, ROOT_INO, Inode, chunk_count
from flist.mount.ahead.elf import USUAL, find_needed, parse_needs
from flist.mount.ahead.neighbours import choose_neighbours, is_program, is_small
from flist.mount.ahead.pool import FAMILY, PARTS, STARTS, Budget, Job, Pool
from flist.mount.reader import Reader
from flist.mount.trace import parse_trace
from flist.store.base import AnnouncingStore

SMALL_THREADS, SMALL_BATCH = 6, 12
"""Small files are fetched in batches."""
LARGE_THREADS = 4
CONNECTIONS = 4
"""Opened before the first read."""
WHOLE_BYTES = 8 << 20
"""Files up to this size are fetched whole, if there is a cache to hold them until they are read."""
PROGRAM_BYTES = 64 << 20
"""Plain bytes that are fetched for one program, with its interpreter and libraries."""
KEPT_PLACES = 16384


class Ahead:
    """The guesses for one mount."""

    def __init__(self) -> None:
        self.small = Pool(SMALL_THREADS, SMALL_BATCH)
        self.large = Pool(LARGE_THREADS)
        self.places: set[tuple[int, int]] = set()
        self.numbers = itertools.count()
        self.lock = threading.Lock()

    def connect(self, reader: Reader) -> None:
        """Open connections to a remote store, so that the first reads need not wait for that."""
        store, root = reader.fetcher.store, reader.tree.inode(ROOT_INO)
        if not isinstance(store, AnnouncingStore) or reader.fetcher.is_local:
            return

        def connect() -> None:
            with store.announce(()):
                pass

        jobs = [
            Job((STARTS, next(self.numbers)), reader, root, -1, connect) for _ in range(CONNECTIONS)
        ]
        self.small.add(*jobs)

    def note(self, reader: Reader, inode: Inode) -> None:
        """Guess from a read that needs a store what will be read next."""
        if reader.fetcher.store is None:
            return
        with contextlib.suppress(Exception):  # a guess must not make a read fail
            if is_program(inode):
                self.add_program(reader, inode, Budget(PROGRAM_BYTES))
                if self.is_new(reader, ROOT_INO):
                    self.add_search(reader, inode, self.add_usual)
            elif is_small(inode):
                if self.is_new(reader, inode.parent):
                    self.add_search(reader, inode, self.add_family)
            elif self.is_new(reader, inode.ino):
                self.add_parts(reader, inode, 0)

    def is_new(self, reader: Reader, ino: int) -> bool:
        """Return whether there was no guess from this file or directory yet, and note this one."""
        place = (id(reader), ino)
        with self.lock:
            if place in self.places:
                return False
            if len(self.places) >= KEPT_PLACES:
                self.places.clear()
            self.places.add(place)
            return True

    def forget_places(self) -> None:
        """Forget where guesses began: a new reader may get the identity of one that is closed."""
        with self.lock:
            self.places.clear()

    def add_search(
        self, reader: Reader, inode: Inode, search: Callable[[Reader, Inode], None]
    ) -> None:
        """Run `search` in a thread of the pool."""
        job = Job((STARTS, next(self.numbers)), reader, inode, -1, partial(search, reader, inode))
        self.small.add(job)

    def add_program(self, reader: Reader, inode: Inode, budget: Budget) -> None:
        """Fetch a program or library, and what it needs."""
        if inode.size > 0 and self.is_new(reader, inode.ino) and budget.take(inode.size):
            then = partial(self.add_needed, reader, inode, budget)
            self.small.add(Job((STARTS, next(self.numbers)), reader, inode, 0, then))
            self.add_parts(reader, inode, 1)

    def add_needed(self, reader: Reader, inode: Inode, budget: Budget) -> None:
        """Fetch what a program needs, now that its first chunk is here."""
        for file in find_needed(reader.tree, inode, parse_needs(partial(read, reader, inode))):
            self.add_program(reader, file, budget)

    def add_usual(self, reader: Reader, inode: Inode) -> None:
        """Fetch what nearly every program needs, for the first one that is read."""
        budget = Budget(PROGRAM_BYTES)
        for file in find_needed(reader.tree, inode, USUAL):
            self.add_program(reader, file, budget)

    def add_parts(self, reader: Reader, inode: Inode, first: int) -> None:
        """Fetch the chunks of a file from `first` on. The last two come first: they hold the data
        that a loader relocates."""
        if inode.size > WHOLE_BYTES or reader.fetcher.cache is None:
            return
        order = list(range(first, chunk_count(inode.size)))
        order = order[-2:] + order[:-2]
        self.large.add(*(Job((PARTS, next(self.numbers)), reader, inode, i) for i in order))

    def add_family(self, reader: Reader, inode: Inode) -> None:
        """Fetch the neighbours of a small file, before those of files that were read earlier."""
        family = -next(self.numbers)
        files = [f for f in choose_neighbours(reader.tree, inode) if self.is_new(reader, f.ino)]
        ranks = ((FAMILY, family, number) for number in itertools.count())
        self.small.add(*(Job(rank, reader, f, 0) for rank, f in zip(ranks, files, strict=False)))

    def replay(self, reader: Reader, trace: Path) -> None:
        """Fetch what an earlier mount read, in that order; raises `FlistError`."""
        for ino, index in parse_trace(trace):
            if self.is_closed:
                return
            with contextlib.suppress(FileNotFoundError):
                inode = reader.tree.inode(ino)
                if index < chunk_count(inode.size) and inode.is_file:
                    pool = self.small if is_small(inode) else self.large
                    job = Job((PARTS, next(self.numbers)), reader, inode, index)
                    pool.wait_for_room()
                    pool.add(job)

    @property
    def is_closed(self) -> bool:
        """Whether the mount ends; its flist is closed then, also while a trace is replayed."""
        return self.small.is_closed

    def close(self) -> None:
        """Start nothing more, without waiting for what is under way."""
        self.small.close()
        self.large.close()


def read(reader: Reader, inode: Inode, offset: int, size: int) -> bytes:
    """Return up to `size` bytes of a file from `offset`; raises `FlistError`."""
    end = min(offset + size, inode.size)
    pieces = []
    while offset < end:
        index, start = divmod(offset, CHUNK_BYTES)
        pieces.append(reader.load(inode, index)[start : start + end - offset])
        offset += len(pieces[-1])
    return b"".join(pieces)
