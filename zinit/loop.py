"""An epoll loop: descriptors, one timer source, one source of queued work. It holds no policy.

Within a turn, descriptors of a lower `rank` go first: clients before what they look at.
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
    """A descriptor that is watched: `handle(events)` is called when something is there."""

    __slots__ = ("handle", "rank")

    def __init__(self, rank: int, handle: "Callable[[int], object]") -> None:
        self.rank = rank
        self.handle = handle


class Loop:
    """Waits, and calls. Every call is fenced: what it raises goes to `on_fault`."""

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
        """Call `handle` whenever `fd` can be read."""
        self._epoll.register(fd, READ)
        self._sources[fd] = Source(rank, handle)

    def want(self, fd: int, events: int) -> None:
        """Wait for other `events` on a watched descriptor."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Watch `fd` no more. The caller closes it."""
        if self._sources.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Give the epoll descriptor back."""
        self._epoll.close()

    def run(self, next_time: "Callable[[], float | None]", turn: "Callable[[float], bool]") -> None:
        """Run until `is_running` is false.

        `next_time` says when to wake at the latest; `turn(now)` is called once per turn after the
        descriptors and returns whether it wants another turn at once.
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
                time.sleep(FAULT_PAUSE_S)  # a fault that stays must not eat the processor

    def _timeout(self, at: float | None) -> float:
        return -1.0 if at is None else min(max(at - self._clock(), 0.0), LONGEST_WAIT_S)

    def _wait(self, timeout_s: float) -> None:
        ready = self._epoll.poll(timeout_s)
        if len(ready) > 1:
            ready.sort(key=self._rank)
        for fd, events in ready:
            source = self._sources.get(fd)
            if source is None:
                continue  # forgotten by a handler of this turn
            try:
                source.handle(events)
            except BaseException as error:
                self._on_fault(error)
                self._is_faulty = True

    def _rank(self, item: tuple[int, int]) -> int:
        source = self._sources.get(item[0])
        return source.rank if source else 0


def is_ready(fd: int, timeout_s: float) -> bool:
    """Wait until `fd` can be read, for a while; return whether it can."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(max(timeout_s, 0.0) * 1000))
