"""Runs one function over many jobs in forked processes.

Each worker takes the next job from a queue that all share, and sends its results back through a
pipe of its own. Memory is what the jobs in flight need. A worker that dies is noticed, whatever it
died of.
"""

import contextlib
import fcntl
import gc
import itertools
import os
import pickle
import select
import selectors
import signal
import struct
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from types import FrameType
from typing import Any, Generic, NoReturn, TypeVar, cast

from common.errors import ZosError
from flist.blocks.malloc import keep_buffers
from flist.errors import FlistError

Job = TypeVar("Job")
Result = TypeVar("Result")
LENGTH = struct.Struct("<Q")
PLACE = struct.Struct("<QQ")
"""Where a job is in the queue's file, and its length."""
READ_BYTES = 1 << 20
PIPE_BYTES = 1 << 20
END_WITHIN_S = 2.0


class Worker(Generic[Job, Result]):
    """What runs in one process: `open` once, `work` per job, `close` at the end."""

    def open(self) -> None:
        """Acquire what must not be shared across a fork."""

    def work(self, job: Job) -> Result:
        """Do one job; the result is pickled."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of everything, and make results durable."""

    def give_up(self) -> None:
        """Let go of everything after an error, and wait for nothing."""


def cpu_count() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def run_jobs(
    jobs: Iterable[Job], worker: Worker[Job, Result], processes: int = 0
) -> Generator[Result, None, None]:
    """Give the results of all `jobs`, in no order. One process does it here, without a fork.

    Jobs are asked for while the workers are at the first ones. Raises what a worker raised, if it
    was a `ZosError`; `FlistError` if a worker died.
    """
    rest = iter(jobs)
    first = list(itertools.islice(rest, processes or cpu_count()))
    every = itertools.chain(first, rest)
    if len(first) <= 1:
        yield from run_here(every, worker)
        return
    sys.stdout.flush()
    sys.stderr.flush()
    children: dict[int, int] = {}  # pipe -> process id
    with Queue() as queue:
        try:
            for _ in first:
                reading, writing = os.pipe()
                with contextlib.suppress(OSError):  # room for results while we are busy
                    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
                with held_signals():
                    child = os.fork()
                    if child == 0:
                        run_child(queue, worker, writing, (reading, *children))
                os.close(writing)
                children[reading] = child
            yield from cast("Iterator[Result]", exchange(every, queue, children))
        finally:
            end_children(children)


class Queue:
    """Jobs on their way to whichever worker takes them first: their bytes in a file that is only in
    memory, and where each is in a pipe. The kernel gives each place to one reader, whole."""

    def __enter__(self) -> "Queue":
        self.file = os.memfd_create("jobs")
        self.taking, self.giving = os.pipe()
        self.end = 0
        return self

    def __exit__(self, *_exc: object) -> None:
        os.close(self.file)
        os.close(self.taking)
        self.close_giving()

    def close_giving(self) -> None:
        """Say that there are no more jobs."""
        if self.giving >= 0:
            os.close(self.giving)
            self.giving = -1

    def give(self, job: object) -> None:
        """Add a job."""
        data = pickle.dumps(job, protocol=pickle.HIGHEST_PROTOCOL)
        view = memoryview(data)
        while view:
            view = view[os.pwrite(self.file, view, self.end + len(data) - len(view)) :]
        os.write(self.giving, PLACE.pack(self.end, len(data)))
        self.end += len(data)

    def take(self) -> Iterator[Any]:
        """Give jobs until there are no more."""
        while place := os.read(self.taking, PLACE.size):
            start, length = PLACE.unpack(place)
            data = os.pread(self.file, length, start)
            while len(data) < length:
                data += os.pread(self.file, length - len(data), start + len(data))
            yield pickle.loads(data)  # noqa: S301 our own


def run_here(jobs: Iterable[Job], worker: Worker[Job, Result]) -> Iterator[Result]:
    """Do all jobs in this process."""
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
    """The parent wants no more: what is half done is taken back."""


@contextlib.contextmanager
def held_signals() -> Iterator[None]:
    """Let nobody interrupt the block: in a child that would run its parent's code."""
    known = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, known)


def run_child(
    queue: Queue, worker: Worker[Job, Result], report: int, foreign: Iterable[int]
) -> NoReturn:
    """Do jobs until there is none left, and send what they gave; never returns.

    Begins with signals held; `foreign` are the parent's handles.
    """
    is_working = True

    def end(_number: int, _frame: FrameType | None) -> None:
        if is_working:
            raise Ended
        os._exit(0)

    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
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
    """Do jobs in a child until there is none left, and send what they gave."""
    queue.close_giving()
    keep_buffers()
    gc.freeze()  # what the parent made is not ours to look through
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
        import traceback  # what is imported here costs every pack and unpack 5 ms at its start

        traceback.print_exc()
        answer = ("error", (FlistError, f"a worker failed: {error}", None))
    with contextlib.suppress(OSError):
        send(report, answer)


def send(handle: int, value: object) -> None:
    """Write one value, with its length before it."""
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    view = memoryview(LENGTH.pack(len(data)) + data)
    while view:
        view = view[os.write(handle, view) :]


def exchange(jobs: Iterator[Job], queue: Queue, children: dict[int, int]) -> Iterator[object]:
    """Hand out jobs, and give every result, until all workers have ended well."""
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


def take_values(buffer: bytearray) -> Iterator[tuple[str, Any]]:
    """Give (and remove) the complete values at the start of `buffer`."""
    values = []
    start = 0
    while len(buffer) - start >= LENGTH.size:
        (length,) = LENGTH.unpack_from(buffer, start)
        end = start + LENGTH.size + length
        if len(buffer) < end:
            break
        values.append(pickle.loads(memoryview(buffer)[start + LENGTH.size : end]))  # noqa: S301
        start = end
    del buffer[:start]
    return iter(values)


def end_children(children: dict[int, int]) -> None:
    """End what still runs, kill what does not listen, and wait for all."""
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
    """Wait until the other side of a pipe is closed; whatever comes before is of no use."""
    while (left_s := deadline - time.monotonic()) > 0 and select.select([pipe], [], [], left_s)[0]:
        if not os.read(pipe, READ_BYTES):
            return True
    return False
