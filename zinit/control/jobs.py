"""Work that takes longer than a turn of the loop: it is done in slices between other events.

A job is a generator that yields often; its return value is the result. Jobs of one lane run one
after another, lanes alternate. A job that waits and has not begun is shared by all who ask for it.
"""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Generator

    Steps = Generator[None, None, object]
else:
    from _collections import deque

SLICE_S = 0.01  # for all jobs in one turn


class Job:
    """A generator, and how it ended."""

    __slots__ = ("_error", "_make", "_result", "_steps", "is_done", "name")

    def __init__(self, name: str, make: "Callable[[], Steps]") -> None:
        self.name = name
        self.is_done = False
        self._make = make
        self._steps: Steps | None = None
        self._result: object = None
        self._error: Exception | None = None

    @property
    def is_begun(self) -> bool:
        """Whether the job no longer sees everything that has happened until now."""
        return self._steps is not None

    def step(self) -> None:
        """Run the job to its next `yield`."""
        if self._steps is None:
            self._steps = self._make()
        try:
            next(self._steps)
        except StopIteration as end:
            self._result, self.is_done = end.value, True
        except Exception as error:
            self._error, self.is_done = error, True

    def result(self) -> object:
        """Return what the job has returned; raises what it has raised."""
        if self._error is not None:
            raise self._error
        return self._result


class Jobs:
    """All jobs, by lane."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[Job]] = {}
        self._left_s = SLICE_S  # of this turn's time

    @property
    def is_busy(self) -> bool:
        """Whether there is work."""
        return bool(self._lanes)

    def begin(self, lane: str, name: str, make: "Callable[[], Steps]") -> Job:
        """Return a job that runs `make()`; a short one has ended on return."""
        queue = self._lanes.setdefault(lane, deque())
        for job in queue:
            if job.name == name and not job.is_begun:
                return job
        job = Job(name, make)
        queue.append(job)
        if len(queue) == 1:
            self._run([lane])
        return job

    def turn(self) -> bool:
        """Run jobs for a slice of time; return whether there is more to do."""
        self._left_s = SLICE_S
        if self._lanes:
            self._run(list(self._lanes))
        return self.is_busy

    def _run(self, lanes: list[str]) -> None:
        begun = now = time.monotonic()
        while lanes and now - begun < self._left_s:
            lane = lanes.pop(0)
            queue = self._lanes[lane]
            queue[0].step()
            if queue[0].is_done:
                queue.popleft()
            if queue:
                lanes.append(lane)
            else:
                del self._lanes[lane]
            now = time.monotonic()
        self._left_s -= now - begun
