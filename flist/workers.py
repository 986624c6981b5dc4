"""Runs one function over many jobs in forked processes.

The jobs are known before the fork, so nothing is sent to a worker; each takes the next number from
a file offset that all share, and sends its results back through a pipe. Memory is what the jobs in
flight need. A worker that dies is noticed, whatever it died of.
"""

import contextlib
import gc
import os
import pickle
import selectors
import signal
import struct
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, Generic, NoReturn, TypeVar, cast

from common.errors import ZosError
from flist.errors import FlistError
from flist.heap import keep_buffers

Job = TypeVar("Job")
Result = TypeVar("Result")
LENGTH = struct.Struct("<Q")
NUMBER = struct.Struct("<I")
READ_BYTES = 1 << 20


class Worker(Generic[Job, Result]):
    """What runs in one process: `open` once, `work` per job, `close` at the end."""

    def open(self) -> None:
        """Acquire what must not be shared across a fork."""

    def work(self, job: Job) -> Result:
        """Do one job; the result is pickled."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of everything, and make results durable."""


def cpu_count() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def run_jobs(
    jobs: Sequence[Job], worker: Worker[Job, Result], processes: int = 0
) -> Iterator[Result]:
    """Give the results of all `jobs`, in no order. One process does it here, without a fork.

    Raises what a worker raised, if it was a `ZosError`; `FlistError` if a worker died.
    """
    count = min(processes or cpu_count(), len(jobs))
    if count <= 1:
        yield from run_here(jobs, worker)
        return
    # An ordinary file: only of such a one does the kernel lock the position that
    # the children share (of a memfd it does not, and two of them could get the same number).
    handle = tempfile.TemporaryFile()  # noqa: SIM115 - closed below, with the children
    numbers = handle.fileno()
    os.write(numbers, b"".join(NUMBER.pack(number) for number in range(len(jobs))))
    os.lseek(numbers, 0, os.SEEK_SET)
    sys.stdout.flush()
    sys.stderr.flush()
    children: dict[int, int] = {}  # pipe -> process id
    try:
        for _ in range(count):
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(reading)
                run_child(jobs, worker, numbers, writing)
            os.close(writing)
            children[reading] = child
        yield from cast("Iterator[Result]", collect(children))
    finally:
        handle.close()
        end_children(children)


def run_here(jobs: Sequence[Job], worker: Worker[Job, Result]) -> Iterator[Result]:
    """Do all jobs in this process."""
    if not jobs:
        return
    keep_buffers()
    worker.open()
    for job in jobs:
        yield worker.work(job)
    worker.close()


def run_child(
    jobs: Sequence[Job], worker: Worker[Job, Result], numbers: int, report: int
) -> NoReturn:
    """Do jobs until there is none left, and send what they gave; never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    keep_buffers()
    gc.freeze()  # what the parent made is not ours to look through
    gc.enable()
    answer: object
    try:
        worker.open()
        while number := os.read(numbers, NUMBER.size):
            result = worker.work(jobs[NUMBER.unpack(number)[0]])
            send(report, ("result", result))
        worker.close()
        answer = ("end", None)
    except ZosError as error:
        answer = ("error", (type(error), error.message, error.hint))
    except BaseException as error:
        traceback.print_exc()
        answer = ("error", (FlistError, f"a worker failed: {error}", None))
    with contextlib.suppress(OSError):
        send(report, answer)
    os._exit(0)


def send(handle: int, value: object) -> None:
    """Write one value, with its length before it."""
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    view = memoryview(LENGTH.pack(len(data)) + data)
    while view:
        view = view[os.write(handle, view) :]


def collect(children: dict[int, int]) -> Iterator[object]:
    """Give every result that comes through the pipes until all workers have ended well."""
    buffers = {pipe: bytearray() for pipe in children}
    with selectors.DefaultSelector() as selector:
        for pipe in children:
            selector.register(pipe, selectors.EVENT_READ)
        while buffers:
            for key, _ in selector.select():
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
    """Kill what still runs and wait for all."""
    for pipe, child in children.items():
        os.close(pipe)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)
