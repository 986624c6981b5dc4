"""When the node reports, and what. No I/O, no clock: each step is told the time.

A node registers when it starts, when its facts change, and once a day; between these, heartbeats
come at the registry's interval. What fails is tried again, at growing pauses. Nodes that start
together, or that lose the registry together, must not come back at the same moments: each draws
its pauses from numbers of its own.
"""

import random
from dataclasses import dataclass, field

REGISTER, HEARTBEAT, SHUTDOWN = "register", "heartbeat", "shutdown"
DAY_S = 24 * 3600.0
INTERVAL_S = 40 * 60.0
INTERVAL_MIN_S, INTERVAL_MAX_S = 60.0, 2 * 3600.0
EARLIEST = 0.8  # a pause is this much of the interval to all of it, never longer
RETRY_FIRST_S, RETRY_MAX_S = 2.0, 600.0
WAIT_MAX_S = 3600.0  # the longest that the registry may ask to wait
CHANGES_APART_S = 60.0  # facts that change again and again


@dataclass
class Schedule:
    """The times are seconds of a clock that never jumps."""

    seed: str
    due_at: float = 0.0
    interval_s: float = INTERVAL_S
    registered_at: float | None = None
    failures: int = 0
    is_changed: bool = False
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - not a secret

    def kind(self, now: float) -> str:
        """Return what the next report is."""
        is_fresh = self.registered_at is not None and now - self.registered_at < DAY_S
        return HEARTBEAT if is_fresh and not self.is_changed else REGISTER

    def succeed(self, kind: str, now: float, interval_s: float) -> None:
        """Note that a report was accepted; the registry asks for the next one."""
        self.interval_s = clamp(interval_s, INTERVAL_MIN_S, INTERVAL_MAX_S)
        self.failures = 0
        if kind == REGISTER:
            self.registered_at, self.is_changed = now, False
        self.due_at = now + self.interval_s * self.chance.uniform(EARLIEST, 1.0)

    def fail(self, now: float, wait_s: float = 0.0) -> float:
        """Note that a report failed; return the pause, at least `wait_s` if the registry asks."""
        pause = min(RETRY_FIRST_S * 2.0 ** min(self.failures, 30), RETRY_MAX_S)
        self.failures += 1
        asked = clamp(wait_s, 0.0, WAIT_MAX_S)
        pause = max(pause, asked) * self.chance.uniform(1.0, 1.5)
        self.due_at = now + pause
        return pause

    def change(self, now: float) -> None:
        """Note that the facts changed: register soon, but not again and again."""
        self.is_changed = True
        if self.registered_at is not None and not self.failures:
            soon = max(now, self.registered_at + CHANGES_APART_S)
            self.due_at = min(self.due_at, soon + self.chance.uniform(0, RETRY_FIRST_S))


def clamp(value: float, least: float, most: float) -> float:
    """Return the nearest value within bounds."""
    return min(max(value, least), most)
