"""Threads that fetch chunks from a remote store, urgent ones first."""

import contextlib
import heapq
import threading
from collections.abc import Callable
from typing import NamedTuple

from flist.errors import FlistError
from flist.model import Inode
from flist.mount.reader import Reader
from flist.store.base import announce, is_down

MAX_WAITING = 2000
STARTS, PARTS, FAMILY = range(3)
"""Urgency, highest first: what a program needs, the other chunks of files, neighbours."""


class Job(NamedTuple):
    """A chunk of a file to fetch (-1: none), and what to call `then`. The lowest rank comes first;
    its first item is the urgency. No two ranks are equal."""

    rank: tuple[int, ...]
    reader: Reader
    inode: Inode
    chunk: int
    then: Callable[[], None] | None = None


class Budget:
    """The bytes that may still be fetched for one program."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, size: int) -> bool:
        """Take `size` bytes; return whether that many were left."""
        self.left -= size
        return self.left >= 0


class Pool:
    """Threads that do jobs until `close`. A thread does up to `batch` jobs that are not urgent at
    once."""

    def __init__(self, threads: int, batch: int = 1) -> None:
        self.waiting: list[Job] = []  # a heap
        lock = threading.Lock()
        self.changed, self.emptied = threading.Condition(lock), threading.Condition(lock)
        self.threads_left = threads
        self.batch = batch
        self.is_closed = False

    def add(self, *jobs: Job) -> None:
        """Queue jobs, as many as there is room for."""
        with self.changed:
            for job in jobs:
                if len(self.waiting) < MAX_WAITING:
                    heapq.heappush(self.waiting, job)
                    self.changed.notify()
            for _ in range(min(self.threads_left, len(self.waiting))):
                self.threads_left -= 1
                threading.Thread(target=self.work, daemon=True).start()

    def wait_for_room(self) -> None:
        """Return when there is room for another job."""
        with self.changed:
            self.emptied.wait_for(lambda: len(self.waiting) < MAX_WAITING or self.is_closed)

    def work(self) -> None:
        """Do jobs: the body of each thread."""
        while jobs := self.take():
            with contextlib.suppress(Exception):  # a real read will report the error
                fetch(jobs)

    def take(self) -> list[Job]:
        """Wait for jobs; return the next ones of one urgency and one reader, none after `close`."""
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
        """Start nothing more, without waiting for what is under way."""
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()
            self.emptied.notify_all()


def is_alike(one: Job, other: Job) -> bool:
    """Return whether two jobs may be done over one connection."""
    is_urgent = one.rank[0] == STARTS
    return one.rank[0] == other.rank[0] and one.reader is other.reader and not is_urgent


def fetch(jobs: list[Job]) -> None:
    """Fetch the chunks that are not here yet over one connection, then call `then` of each job."""
    reader = jobs[0].reader
    chunks = [(job, reader.blocks(job.inode)[job.chunk]) for job in jobs if job.chunk >= 0]
    fetcher = reader.fetcher
    wanted = [
        (job, block)
        for job, block in chunks
        if not fetcher.is_here(block) and not is_down(fetcher.store, block.id)
    ]
    # The start of a program is urgent, so it is fetched like a real read.
    ids = [block.id for _, block in wanted] if jobs[0].rank[0] > STARTS else []
    with announce(reader.fetcher.store, ids) if ids else contextlib.nullcontext():
        for job, _ in wanted:
            with contextlib.suppress(FlistError):
                reader.load(job.inode, job.chunk)
    for job in jobs:
        if job.then is not None:
            with contextlib.suppress(Exception):
                job.then()
