"""An epoll loop over descriptors, with one source of timers and one of queued work.

Within a turn, descriptors of a lower `rank` are handled first: clients before what they query.
"""

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
FAULT_PAUSE_S = 0.05
LONGEST_WAIT_S = 86_400.0  # epoll takes less than 25 days


class Source:
    """The handler of a watched descriptor: `handle(events)` is called when it is ready."""

    __slots__ = ("handle", "rank")

    def __init__(self, rank: int, handle: "Callable[[int], object]") -> None:
        self.rank = rank
        self.handle = handle


class Loop:
    """Waits for events and calls handlers. Exceptions from these go to `on_fault`."""

    def __init__(
        self, clock: "Callable[[], float]", on_fault: "Callable[[BaseException], None]"
    ) -> None:
        self.is_running = False
        self._is_faulty = False
        self._clock = clock
        self._on_fault = on_fault
        self._epoll = select.epoll()
        self._sources: dict[int, Source] = {}

    def watch(self, fd: int, rank: int, handle: "Callable[[int], object]") -> None:
        """Call `handle` whenever `fd` is readable."""
        self._epoll.register(fd, READ)
        self._sources[fd] = Source(rank, handle)

    def want(self, fd: int, events: int) -> None:
        """Wait for `events` on a watched descriptor from now on; 0 means only errors and hang-ups."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`. The caller closes it."""
        if self._sources.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Close the epoll descriptor."""
        self._epoll.close()

    def run(self, next_time: "Callable[[], float | None]", turn: "Callable[[float], bool]") -> None:
        """Run until `is_running` is false.

        `next_time` returns when to wake up without an event. `turn(now)` is called in every turn,
        after the handlers, and returns whether the next turn must not wait.
        """
        self.is_running = True
        is_eager = True
        while self.is_running:
            try:
                self._wait(0.0 if is_eager else self._timeout(next_time()))
                is_eager = turn(self._clock())
            except BaseException as error:
                self._on_fault(error)
                self._is_faulty = is_eager = True
            if self._is_faulty:
                self._is_faulty = False
                time.sleep(FAULT_PAUSE_S)  # a persistent fault must not use all CPU time

    def _timeout(self, at: float | None) -> float:
        return -1.0 if at is None else min(max(at - self._clock(), 0.0), LONGEST_WAIT_S)

    def _wait(self, timeout_s: float) -> None:
        ready = self._epoll.poll(timeout_s)
        if len(ready) > 1:
            ready.sort(key=self._rank)
        for fd, events in ready:
            source = self._sources.get(fd)
            if source is None:
                continue  # an earlier handler of this turn has removed it
            try:
                source.handle(events)
            except BaseException as error:
                self._on_fault(error)
                self._is_faulty = True

    def _rank(self, item: tuple[int, int]) -> int:
        source = self._sources.get(item[0])
        return source.rank if source else 0


def is_ready(fd: int, timeout_s: float) -> bool:
    """Wait up to `timeout_s` until `fd` is readable; return whether it is."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(max(timeout_s, 0.0) * 1000))
