"""Passes jobs to worker processes and results back.

Both are pickled. All workers share one queue of jobs; each sends its results through its own pipe.
"""

import os
import pickle
import struct
from collections.abc import Iterator
from typing import Any

LENGTH = struct.Struct("<Q")
PLACE = struct.Struct("<QQ")
"""The offset of a job in the queue's file, and its length."""


class Queue:
    """Jobs for the worker that takes them first.

    Their bytes are in a memory file, their places in a pipe. A read from a pipe is atomic at this
    size, so each place goes to one worker.
    """

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
        """Close this process's end for new jobs. When all are closed, `take` ends."""
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
        """Yield jobs until there are no more."""
        while place := os.read(self.taking, PLACE.size):
            start, length = PLACE.unpack(place)
            data = os.pread(self.file, length, start)
            while len(data) < length:
                data += os.pread(self.file, length - len(data), start + len(data))
            yield pickle.loads(data)  # noqa: S301 our own


def send(handle: int, value: object) -> None:
    """Write one value to a pipe, after its length."""
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    view = memoryview(LENGTH.pack(len(data)) + data)
    while view:
        view = view[os.write(handle, view) :]


def take_values(buffer: bytearray) -> list[Any]:
    """Remove the complete values from the start of `buffer`, and return them."""
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
    return values
