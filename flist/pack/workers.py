"""Runs one function over many jobs in forked processes.

Memory use is that of the jobs in flight. The death of a worker is noticed, whatever its cause.
"""

import contextlib
import fcntl
import gc
import itertools
import os
import select
import selectors
import signal
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from types import FrameType
from typing import Generic, NoReturn, TypeVar, cast

from common.errors import ZosError
from common.processors import cpu_count
from flist.blocks.malloc import keep_buffers
from flist.errors import FlistError
from flist.pack.channel import Queue, send, take_values

Job = TypeVar("Job")
Result = TypeVar("Result")
READ_BYTES = 1 << 20
PIPE_BYTES = 1 << 20
END_WITHIN_S = 2.0


class Worker(Generic[Job, Result]):
    """The work of one process: `open` once, `work` for each job, then `close` or `give_up`."""

    def open(self) -> None:
        """Acquire what must not be shared across a fork."""

    def work(self, job: Job) -> Result:
        """Do one job and return its result, which must be picklable."""
        raise NotImplementedError

    def close(self) -> None:
        """Make the results durable and release everything."""

    def give_up(self) -> None:
        """Release everything after an error, without waiting for anything."""


def run_jobs(
    jobs: Iterable[Job], worker: Worker[Job, Result], processes: int = 0
) -> Generator[Result, None, None]:
    """Yield the results of all `jobs`, in any order. A single process (`processes` is 1, or there
    is one job) is this one, without a fork.

    Workers start before all of `jobs` have been iterated. Raises the `ZosError` that a worker
    raised, and `FlistError` if a worker died.
    """
    rest = iter(jobs)
    first = list(itertools.islice(rest, processes or cpu_count()))
    every = itertools.chain(first, rest)
    if len(first) <= 1:
        yield from run_here(every, worker)
        return
    sys.stdout.flush()
    sys.stderr.flush()
    children: dict[int, int] = {}  # process ids by the pipe of their results
    with Queue() as queue:
        try:
            for _ in first:
                start_child(queue, worker, children)
            yield from cast("Iterator[Result]", exchange(every, queue, children))
        finally:
            end_children(children)


def start_child(queue: Queue, worker: Worker[Job, Result], children: dict[int, int]) -> None:
    """Fork a worker, and add it to `children`."""
    reading, writing = os.pipe()
    with contextlib.suppress(OSError):  # room for results while this process is busy
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with blocked_signals():
        child = os.fork()
        if child == 0:
            run_child(queue, worker, writing, (reading, *children))
    os.close(writing)
    children[reading] = child


def run_here(jobs: Iterable[Job], worker: Worker[Job, Result]) -> Iterator[Result]:
    """Do all jobs in this process, and yield the results."""
    keep_buffers()
    is_open = False
    try:
        for job in jobs:
            if not is_open:
                worker.open()
                is_open = True
            yield worker.work(job)
        if is_open:
            worker.close()
    except BaseException:
        worker.give_up()
        raise


class Ended(BaseException):
    """Raised in a worker when the parent ends it, so that it undoes what is half done."""


@contextlib.contextmanager
def blocked_signals() -> Iterator[None]:
    """Block SIGINT and SIGTERM: in a new child their handlers would run its parent's code."""
    known = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, known)


def run_child(
    queue: Queue, worker: Worker[Job, Result], report: int, foreign: Iterable[int]
) -> NoReturn:
    """Do jobs until there are no more, and send their results to the pipe `report`; never returns.

    Signals are blocked at the start. `foreign` are descriptors of the parent, to be closed.
    """
    is_working = True

    def end(_number: int, _frame: FrameType | None) -> None:
        if is_working:
            raise Ended
        os._exit(0)

    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent sends SIGTERM
        signal.signal(signal.SIGTERM, end)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
        for handle in foreign:
            os.close(handle)
        do_jobs(queue, worker, report)
    except Ended:
        pass
    finally:
        is_working = False
        os._exit(0)


def do_jobs(queue: Queue, worker: Worker[Job, Result], report: int) -> None:
    """Do jobs until there are no more; send ("result", value) for each, then ("end", None) or
    ("error", (type, message, hint))."""
    queue.close_giving()
    keep_buffers()
    gc.freeze()  # exempts the parent's objects, whose pages a traversal would copy
    gc.enable()
    answer: object
    try:
        worker.open()
        for job in queue.take():
            send(report, ("result", worker.work(job)))
        worker.close()
        answer = ("end", None)
    except ZosError as error:
        answer = ("error", (type(error), error.message, error.hint))
    except Ended:
        raise
    except BaseException as error:
        import traceback  # 5 ms at the start of every pack and unpack otherwise

        traceback.print_exc()
        answer = ("error", (FlistError, f"a worker failed: {error}", None))
    with contextlib.suppress(OSError):
        send(report, answer)


def exchange(jobs: Iterator[Job], queue: Queue, children: dict[int, int]) -> Iterator[object]:
    """Hand out jobs and yield results until all workers have ended. Raises as `run_jobs` does."""
    buffers = {pipe: bytearray() for pipe in children}
    with selectors.DefaultSelector() as selector:
        for pipe in children:
            selector.register(pipe, selectors.EVENT_READ)
        selector.register(queue.giving, selectors.EVENT_WRITE)
        while buffers:
            for key, events in selector.select():
                if events & selectors.EVENT_WRITE:
                    try:
                        queue.give(next(jobs))
                    except StopIteration:
                        selector.unregister(queue.giving)
                        queue.close_giving()
                    continue
                pipe = key.fd
                data = os.read(pipe, READ_BYTES)
                if not data:
                    raise FlistError("cannot go on: a worker process was killed")
                buffers[pipe] += data
                for kind, value in take_values(buffers[pipe]):
                    if kind == "result":
                        yield value
                    elif kind == "error":
                        kind_of_error, message, hint = value
                        raise kind_of_error(message, hint=hint)
                    else:
                        selector.unregister(pipe)
                        del buffers[pipe]


def end_children(children: dict[int, int]) -> None:
    """Send SIGTERM to all children, SIGKILL to those that do not end, and reap them."""
    for child in children.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
    deadline = time.monotonic() + END_WITHIN_S
    for pipe, child in children.items():
        if not is_closed_by(pipe, deadline):
            os.kill(child, signal.SIGKILL)
        os.close(pipe)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def is_closed_by(pipe: int, deadline: float) -> bool:
    """Wait until the other end of a pipe is closed, and drop what comes before; return whether that
    happened before `deadline`."""
    while (left_s := deadline - time.monotonic()) > 0 and select.select([pipe], [], [], left_s)[0]:
        if not os.read(pipe, READ_BYTES):
            return True
    return False
