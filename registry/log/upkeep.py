"""What a server does for the log now and then: it marks that it runs, and forgets old leaves.

A pause in which no server could write is an entry, which comes before whatever is written next:
nodes could not report, and lose nothing by it.
"""

import time
from collections.abc import Callable, Sequence

from sqlalchemy import select, update

from registry.log.batch import Batch
from registry.log.entries import REPORT
from registry.log.scribe import Scribe
from registry.names import DAY_S, day_of, days_of, month_of
from registry.state.tables import LOG_ENTRIES, LOG_HEAD
from serving.database import Database

ALIVE_S = 60.0
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

    def mark_alive(self) -> None:
        """Mark that a server runs and can write; a pause before that is noted first."""
        self.scribe.write_now(mark_alive, None)

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


def mark_alive(batch: Batch, items: Sequence[None]) -> list[None]:
    """Mark that a server can write; the handler for the scribe."""
    batch.mark_alive()
    return list(items)


def oldest_day(today: int, months: int) -> int:
    """Return the first day that is kept: whole months before this one."""
    first = days_of(month_of(today)).start
    for _ in range(months):
        first = days_of(month_of(first - 1)).start
    return first
