"""Jobs that fetch chunks from afar, and threads that do them, urgent ones first."""

import contextlib
import heapq
import threading
from collections.abc import Callable
from typing import NamedTuple

from flist.errors import FlistError
from flist.model import Inode
from flist.mount.reader import Reader
from flist.store.base import announce

MAX_WAITING = 2000
STARTS, PARTS, FAMILY = range(3)
"""What comes first: what a program needs, the other chunks of files, neighbours."""


class Job(NamedTuple):
    """A chunk of a file to fetch (none: -1), and what to do then. The lowest rank comes first; no
    two are equal."""

    rank: tuple[int, ...]
    reader: Reader
    inode: Inode
    chunk: int
    then: Callable[[], None] | None = None


class Budget:
    """How many more bytes may be fetched for one reason."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, size: int) -> bool:
        """Whether there were `size` bytes left."""
        self.left -= size
        return self.left >= 0


class Pool:
    """Threads that do jobs until `close`; those that nobody waits for up to `batch` at once."""

    def __init__(self, threads: int, batch: int = 1) -> None:
        self.waiting: list[Job] = []  # a heap
        lock = threading.Lock()
        self.changed, self.emptied = threading.Condition(lock), threading.Condition(lock)
        self.threads_left = threads
        self.batch = batch
        self.is_closed = False

    def add(self, *jobs: Job) -> None:
        """Have jobs done, as many as there is room for."""
        with self.changed:
            for job in jobs:
                if len(self.waiting) < MAX_WAITING:
                    heapq.heappush(self.waiting, job)
                    self.changed.notify()
            for _ in range(min(self.threads_left, len(self.waiting))):
                self.threads_left -= 1
                threading.Thread(target=self.work, daemon=True).start()

    def wait_for_room(self) -> None:
        """Return when another job can wait."""
        with self.changed:
            self.emptied.wait_for(lambda: len(self.waiting) < MAX_WAITING or self.is_closed)

    def work(self) -> None:
        """Do jobs."""
        while jobs := self.take():
            with contextlib.suppress(Exception):  # it is told to whoever really reads it
                fetch(jobs)

    def take(self) -> list[Job]:
        """Return the next jobs: of one urgency and one reader; none if this is the end."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.is_closed)
            if self.is_closed:
                return []
            jobs = [heapq.heappop(self.waiting)]
            while self.waiting and len(jobs) < self.batch and is_alike(jobs[0], self.waiting[0]):
                jobs.append(heapq.heappop(self.waiting))
            self.emptied.notify()
            return jobs

    def close(self) -> None:
        """Begin nothing more; what is under way is not waited for."""
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()
            self.emptied.notify_all()


def is_alike(one: Job, other: Job) -> bool:
    """Whether two jobs can be done over one connection."""
    is_urgent = one.rank[0] == STARTS
    return one.rank[0] == other.rank[0] and one.reader is other.reader and not is_urgent


def fetch(jobs: list[Job]) -> None:
    """Fetch what is not here yet, over one connection, and do what comes then."""
    reader = jobs[0].reader
    chunks = [(job, reader.blocks(job.inode)[job.chunk]) for job in jobs if job.chunk >= 0]
    wanted = [(job, block) for job, block in chunks if not reader.fetcher.is_here(block)]
    # Somebody waits for a start: it goes the way of real reads.
    ids = [block.id for _, block in wanted] if jobs[0].rank[0] > STARTS else []
    with announce(reader.fetcher.store, ids) if ids else contextlib.nullcontext():
        for job, _ in wanted:
            with contextlib.suppress(FlistError):
                reader.load(job.inode, job.chunk)
    for job in jobs:
        if job.then is not None:
            with contextlib.suppress(Exception):
                job.then()
