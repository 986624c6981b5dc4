"""Group commit: messages that arrive together are written in one transaction.

A commit costs a write to the disk that is waited for, whatever it holds. While one batch is being
written the next one gathers, so the busier the registry is, the less a message costs.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from itertools import groupby
from typing import Any, NamedTuple

from registry.errors import BusyError
from registry.log.batch import Batch
from registry.log.tiles import Edge
from serving.database import Database, DatabaseError

MOST = 500  # messages of a batch
WAITING = 5000
WAIT_S = 30.0
GATHER_S = 0.03
"""Where several messages came at once, more are on their way, and a batch costs as much as 20."""
END_S = 30.0

Handler = Callable[[Batch, Sequence[Any]], Sequence[Any]]
"""Takes messages into a batch, and returns for each the result or the `ZosError` that refuses it.
A refused message has changed nothing."""


class Work(NamedTuple):
    """A message that waits, and who waits for the result."""

    handler: Handler
    item: Any
    future: "Future[Any]"


class Scribe:
    """The one thread of this process that appends to the log."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self.database = database
        self.clock = clock
        self.works: queue.Queue[Work | None] = queue.Queue(WAITING)
        self.thread: threading.Thread | None = None
        self.lock = threading.Lock()
        self.is_busy = False
        self.edge = Edge()

    async def write(self, handler: Handler, item: Any) -> Any:
        """Return what `handler` says of `item` once that is on the disk. Raises `ZosError`."""
        waiting = asyncio.wrap_future(self.submit(handler, item))
        try:
            return await asyncio.wait_for(waiting, WAIT_S)
        except TimeoutError:
            raise BusyError("the registry could not write the message in time") from None

    def submit(self, handler: Handler, item: Any) -> "Future[Any]":
        """Let `item` be written soon; the thread starts with the first one."""
        work = Work(handler, item, Future())
        with self.lock:
            if self.thread is None:
                self.thread = threading.Thread(target=self.run, name="scribe", daemon=True)
                self.thread.start()
        try:
            self.works.put_nowait(work)
        except queue.Full:
            raise BusyError("too many messages wait to be written") from None
        return work.future

    def write_now(self, handler: Handler, item: Any) -> Any:
        """Write one message in the caller's thread. Raises `ZosError`."""
        work = Work(handler, item, Future())
        self.write_batch([work])
        return work.future.result(0)

    def run(self) -> None:
        """Write batches until `close`."""
        is_over = False
        while not is_over:
            works = self.gather()
            is_over = works[-1] is None
            kept = [work for work in works if work and work.future.set_running_or_notify_cancel()]
            if kept:
                self.write_batch(kept)

    def gather(self) -> list[Work | None]:
        """Wait for a message; return it with those that are there already."""
        works = [self.works.get()]
        if self.is_busy and works[0] is not None:
            time.sleep(GATHER_S)
        with contextlib.suppress(queue.Empty):
            while works[-1] is not None and len(works) < MOST:
                works.append(self.works.get_nowait())
        self.is_busy = len(works) > 1
        return works

    def write_batch(self, works: Sequence[Work]) -> None:
        """Write messages together; if that fails unexpectedly, each by itself, so that one that
        cannot be written is alone in failing."""
        try:
            results = self.commit(works)
        except Exception as error:
            if len(works) > 1 and not isinstance(error, DatabaseError):
                for work in works:
                    self.write_batch([work])
                return
            results = [error] * len(works)
        for work, result in zip(works, results, strict=True):
            tell(work.future, result)

    def commit(self, works: Sequence[Work]) -> list[Any]:
        """Carry out messages in one transaction; return the results in their order."""
        results: list[Any] = []
        with self.database.writing() as connection:
            batch = Batch(connection, self.clock, self.edge).after_pause()
            for handler, group in groupby(works, lambda work: work.handler):
                results += handler(batch, [work.item for work in group])
            edge = batch.finish()
        self.edge = edge  # only now that it is written
        return results

    def close(self) -> None:
        """Write what waits, and end."""
        with self.lock:
            thread, self.thread = self.thread, None
        if thread is not None:
            self.works.put(None)
            thread.join(END_S)


def tell(future: "Future[Any]", result: Any) -> None:
    """Give a result to who waits for it, if anybody still does."""
    with contextlib.suppress(InvalidStateError):
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
