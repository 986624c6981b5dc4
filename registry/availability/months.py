"""A node's availability in a month: a signed file that anybody can compute from the log.

The file never changes: it is made of reports that arrived before the month was over and settled,
and an Ed25519 signature is deterministic. A node passes with more than 95 % of the whole month.
"""

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, func, select

from common.nodes.envelope import seal
from registry.errors import AbsentError, ConflictError
from registry.log.entries import PAUSE, Entry
from registry.names import DAY_S, day_of, days_of, month_of
from registry.nodes.days import SUMS
from registry.nodes.judge import ALLOWANCE_S, GAP_S
from registry.state.key import RegistryKey
from registry.state.tables import LOG_ENTRIES, LOG_HEAD, NODES, UPTIME
from serving.database import Database

KIND = "availability"
PERCENT = 95
RULE = (
    f"milliseconds between two reports of one boot whose uptime grew by as much, within"
    f" {ALLOWANCE_S:.0f} s, and that are at most {GAP_S:.0f} s apart, a pause of the registry not"
    f" counted; more than {PERCENT} % of the month is available"
)


class Availability:
    """Makes the files of one registry."""

    def __init__(
        self,
        database: Database,
        key: RegistryKey,
        origin: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self.key = key
        self.origin = origin
        self.clock = clock

    def file(self, node: str, month: str) -> bytes:
        """Return the signed file of a month. Raises `AbsentError`, and `ConflictError` before the
        month is settled."""
        days = days_of(month)
        with self.database.reading() as connection:
            row = find_node(connection, node, days)
            end_s = days.stop * DAY_S
            settled_s = find_settled(connection, end_s)
            # Not the clock: a pause that has begun by now is noted later, from that time on.
            if find_alive(connection) <= settled_s:
                error = ConflictError(f"{month} is not settled yet")
                error.hint = f"ask again after {show_time(max(settled_s, self.clock()))}"
                raise error
            fields = compute(connection, row.number, days)
        whole = {"origin": self.origin, "node": node, "month": month, **fields, "rule": RULE}
        return seal(self.key.sign, self.key.public, KIND, whole)

    def months(self, node: str) -> list[dict[str, Any]]:
        """Return all months of a node up to now, the newest first; none of it is signed."""
        with self.database.reading() as connection:
            row = find_node(connection, node, None)
            today = day_of(self.clock())
            last, first = month_of(today), month_of(day_of(row.created_s))
            months = [last]
            while months[-1] > first:
                months.append(month_of(days_of(months[-1]).start - 1))
            return [
                {"month": month, **compute(connection, row.number, days_of(month))}
                for month in months
            ]


def find_node(connection: Connection, node: str, days: range | None) -> Any:
    """Return number and first time of a node. Raises `AbsentError`."""
    wanted = select(NODES.c.number, NODES.c.created_s).where(NODES.c.id == node)
    row = connection.execute(wanted).first()
    if row is None:
        raise AbsentError(f"no node {node[:64]} has reported here")
    if days is not None and day_of(row.created_s) >= days.stop:
        raise AbsentError("the node had not reported yet in that month")
    return row


def compute(connection: Connection, number: int, days: range) -> dict[str, Any]:
    """Return what the account has of some days of a node."""
    sums = [func.sum(UPTIME.c[name]).label(name) for name in SUMS]
    wanted = (
        select(UPTIME.c.farm, func.max(UPTIME.c.last).label("last"), *sums)
        .where(UPTIME.c.node == number, UPTIME.c.day >= days.start, UPTIME.c.day < days.stop)
        .group_by(UPTIME.c.farm)
        .order_by(UPTIME.c.farm)
    )
    rows = connection.execute(wanted).all()
    up_ms, length_ms = sum(int(row.up_ms) for row in rows), len(days) * DAY_S * 1000
    return {
        "from": days.start * DAY_S,
        "to": days.stop * DAY_S,
        "length_ms": length_ms,
        "up_ms": up_ms,
        "percent": up_ms * 10000 // length_ms / 100,
        "is_available": up_ms * 100 > PERCENT * length_ms,
        "farms": [{"farm": int(row.farm), "up_ms": int(row.up_ms)} for row in rows],
        "reports": sum(int(row.reports) for row in rows),
        "doubted": sum(int(row.doubted) for row in rows),
        "boots": sum(int(row.boots) for row in rows),
        "last_entry": max((int(row.last) for row in rows), default=None),
    }


def find_settled(connection: Connection, end_s: float) -> float:
    """Return when nothing can be added any more to the days before `end_s`: after the longest
    silence that counts, and the registry's pauses in it."""
    wanted = select(LOG_ENTRIES).where(LOG_ENTRIES.c.kind == PAUSE, LOG_ENTRIES.c.at_s >= end_s)
    settled_s = end_s + GAP_S
    for row in connection.execute(wanted.order_by(LOG_ENTRIES.c.position)):
        pause = Entry(*row).fields
        if pause["from"] < settled_s:
            settled_s += float(pause["to"]) - max(float(pause["from"]), end_s)
    return settled_s


def find_alive(connection: Connection) -> float:
    """Return when a server was known to write: a later pause begins then at the earliest."""
    return float(connection.execute(select(LOG_HEAD.c.alive_s)).scalar_one())


def show_time(at_s: float) -> str:
    """Return a time for people, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at_s))
