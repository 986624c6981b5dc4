"""The account of days: how long each node was up, by its farm at the time."""

from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from registry.log.entries import PAUSE, Entry
from registry.names import day_of
from registry.nodes.judge import Judgement
from registry.state.tables import LOG_ENTRIES, UPTIME

KEY = ("node", "day", "farm")
SUMS = ("up_ms", "reports", "doubted", "boots")
Key = tuple[int, int, int]


class Credits:
    """What reports add to the account; a row has the sums and the last report's position."""

    def __init__(self) -> None:
        self.rows: dict[Key, dict[str, int]] = {}

    def add(self, node: int, farm: int, at_s: float, judgement: Judgement, position: int) -> None:
        """Add what one report is worth."""
        row = self.row((node, day_of(at_s), farm), position)
        row["reports"] += 1
        row["doubted"] += bool(judgement.doubt)
        row["boots"] += judgement.is_boot
        for day, up_ms in judgement.up:
            self.row((node, day, farm), position)["up_ms"] += up_ms

    def row(self, key: Key, position: int) -> dict[str, int]:
        """Return the row of a node's day, to be changed."""
        row = self.rows.setdefault(key, dict.fromkeys(SUMS, 0))
        row["last"] = position
        return row

    def save(self, connection: Connection) -> None:
        """Add all to the table."""
        if not self.rows:
            return
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        statement: Any = dialect.insert(UPTIME)
        sums = {name: UPTIME.c[name] + statement.excluded[name] for name in SUMS}
        statement = statement.on_conflict_do_update(
            index_elements=list(KEY), set_={**sums, "last": statement.excluded.last}
        )
        rows = [{**dict(zip(KEY, key, strict=True)), **row} for key, row in self.rows.items()]
        connection.execute(statement, rows)


def pause_s(connection: Connection, start_s: float, end_s: float) -> float:
    """Return how long no server could write between two times, as the log has it."""
    wanted = select(LOG_ENTRIES).where(LOG_ENTRIES.c.kind == PAUSE, LOG_ENTRIES.c.at_s >= start_s)
    entries = [Entry(*row) for row in connection.execute(wanted)]
    return sum(overlap_s(entry, start_s, end_s) for entry in entries)


def overlap_s(entry: Entry, start_s: float, end_s: float) -> float:
    """Return how much of a time a pause has."""
    fields = entry.fields
    return max(0.0, min(end_s, float(fields["to"])) - max(start_s, float(fields["from"])))
