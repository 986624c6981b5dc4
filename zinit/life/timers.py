"""The timers of all units: a heap in which cancelling is cheap."""

from _heapq import heappop, heappush  # heapq would import 600 lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from zinit.life.unit import Unit


CLEAN_EVERY = 256


class Timers:
    """A unit has at most one timer of each kind: `unit.timers` has its time.

    Removing a kind there cancels the timer; the heap's entry for it is then stale and is skipped.
    """

    __slots__ = ("_clean_at", "_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Unit, str]] = []
        self._count = 0
        self._clean_at = CLEAN_EVERY

    def arm(self, unit: "Unit", kind: str, at: float) -> None:
        """Make the event `kind` due at time `at`; replaces the unit's timer of that kind."""
        unit.timers[kind] = at
        self._count += 1
        heappush(self._heap, (at, self._count, unit, kind))
        if self._count > self._clean_at:
            self._drop_stale()

    def _drop_stale(self) -> None:
        """Remove stale entries: a watchdog with frequent pings leaves many."""
        kept = [entry for entry in self._heap if entry[2].timers.get(entry[3]) == entry[0]]
        kept.sort()
        self._heap = kept
        self._clean_at = self._count + 2 * len(kept) + CLEAN_EVERY

    def due(self, now: float) -> "Iterator[tuple[Unit, str]]":
        """Yield each timer that is due, and end it."""
        while self._heap and self._heap[0][0] <= now:
            at, _, unit, kind = heappop(self._heap)
            if unit.timers.get(kind) == at:
                del unit.timers[kind]
                yield unit, kind

    def next_time(self) -> float | None:
        """Return when the next timer is due, or None."""
        while self._heap:
            at, _, unit, kind = self._heap[0]
            if unit.timers.get(kind) == at:
                return at
            heappop(self._heap)
        return None
