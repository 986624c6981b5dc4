"""What a server does for the log now and then: it marks that it runs, and forgets old leaves.

A pause in which no server ran is an entry: nodes could not report, and lose nothing by it.
"""

import time
from collections.abc import Callable, Sequence

from sqlalchemy import select, update

from registry.log.batch import Batch
from registry.log.entries import PAUSE, REPORT
from registry.log.scribe import Scribe
from registry.names import DAY_S, day_of, days_of, month_of
from registry.state.tables import LOG_ENTRIES, LOG_HEAD
from serving.database import Database

ALIVE_S = 60.0
PAUSE_S = 300.0
FORGET_S = 3600.0
FORGOTTEN = 2000  # leaves of one transaction: others wait meanwhile


class Upkeep:
    """The chores of one registry."""

    def __init__(
        self,
        database: Database,
        scribe: Scribe,
        keep_months: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self.scribe = scribe
        self.keep_months = keep_months
        self.clock = clock
        self.forgotten = 0  # whatever is before this position has been

    def begin(self) -> None:
        """Note in the log how long no server ran, if that was long."""
        self.scribe.write_now(note_pause, None)
        self.mark_alive()

    def mark_alive(self) -> None:
        """Mark that a server runs."""
        with self.database.writing() as connection:
            now = round(self.clock(), 3)
            connection.execute(update(LOG_HEAD).where(LOG_HEAD.c.alive_s < now).values(alive_s=now))

    def forget(self) -> int:
        """Remove the leaves of reports that are older than is kept; return how many."""
        if not self.keep_months:
            return 0
        before_s = oldest_day(day_of(self.clock()), self.keep_months) * DAY_S
        end, count = self.find_position(before_s), 0
        while self.forgotten < end:
            until = min(end, self.forgotten + FORGOTTEN)
            count += self.forget_range(self.forgotten, until)
            self.forgotten = until
        return count

    def forget_range(self, start: int, end: int) -> int:
        """Remove the leaves of the reports at some positions."""
        change = (
            update(LOG_ENTRIES)
            .where(LOG_ENTRIES.c.position >= start, LOG_ENTRIES.c.position < end)
            .where(LOG_ENTRIES.c.kind == REPORT, LOG_ENTRIES.c.leaf.is_not(None))
        )
        with self.database.writing() as connection:
            return connection.execute(change.values(leaf=None)).rowcount

    def find_position(self, at_s: float) -> int:
        """Return the first position that is not older than a time; times never go back."""
        with self.database.reading() as connection:
            low, high = 0, connection.execute(select(LOG_HEAD.c.size)).scalar_one()
            while low < high:
                middle = (low + high) // 2
                wanted = select(LOG_ENTRIES.c.at_s).where(LOG_ENTRIES.c.position == middle)
                is_older = connection.execute(wanted).scalar_one() < at_s
                low, high = (middle + 1, high) if is_older else (low, middle)
        return low


def note_pause(batch: Batch, items: Sequence[None]) -> list[None]:
    """Add the entry of a pause; the handler for the scribe."""
    if batch.at_s - batch.alive_s > PAUSE_S:
        batch.add(PAUSE, 0, {"from": batch.alive_s, "to": batch.at_s})
    return list(items)


def oldest_day(today: int, months: int) -> int:
    """Return the first day that is kept: whole months before this one."""
    first = days_of(month_of(today)).start
    for _ in range(months):
        first = days_of(month_of(first - 1)).start
    return first
