"""`zos registry check`: the hashes, then the log carried out again, then the tables compared."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from registry.checking.hashes import HashCheck, check_tree
from registry.checking.replay import Replay
from registry.errors import DamagedError
from registry.log.entries import every_entry
from registry.names import day_of
from registry.nodes.days import KEY, SUMS
from registry.state.tables import FARMS, NODES, UPTIME
from serving.database import Database

Show = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was checked; `forgotten` are reports that are kept as hashes only."""

    entries: int
    farms: int
    nodes: int
    forgotten: int


def check_registry(database: Database, secret: bytes, show: Show) -> Checked:
    """Compute everything again. Raises `DamagedError` with the first difference.

    Servers may go on meanwhile: all is read in one transaction.
    """
    with database.reading() as connection:
        if database.is_postgresql:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        size = check_tree(connection, show)
        replay = Replay(secret)
        hashes = HashCheck(connection)
        for entry in every_entry(connection):
            hashes.check(entry)
            replay.take(entry)
            show("entries", entry.position)
        compare(connection, replay)
    forgotten = sum(replay.forgotten.values())
    return Checked(size, len(replay.farms), len(replay.nodes), forgotten)


def compare(connection: Connection, replay: Replay) -> None:
    """Raise `DamagedError` for the first row that does not follow from the log."""
    compare_table(connection, FARMS, replay.farms, "farm")
    unknown = replay.forgotten.keys() - replay.nodes.keys()
    compare_table(connection, NODES, replay.nodes, "node", unknown)
    compare_days(connection, replay)


def compare_table(
    connection: Connection,
    table: Table,
    wanted: Mapping[int, Mapping[str, Any]],
    what: str,
    unknown: Iterable[int] = (),
) -> None:
    """Compare a table whose key is `number`; of `unknown` rows the log knows nothing any more."""
    left = {*wanted, *unknown}
    for row in connection.execute(select(table).order_by(table.c.number)):
        if row.number not in left:
            raise DamagedError(f"{what} {row.number} is not in the log")
        left.discard(row.number)
        for name, value in wanted.get(row.number, {}).items():
            if row._mapping[name] != value:
                raise DamagedError(f"{what} {row.number} has {name} {row._mapping[name]!r:.80}, "
                                   f"and by the log it is {value!r:.80}")  # fmt: skip
    if left:
        raise DamagedError(f"{what} {min(left)} is in the log, and not in its table")


def compare_days(connection: Connection, replay: Replay) -> None:
    """Compare the account of days, from the first day on whose reports are all there."""
    first = day_of(replay.first_s) + 2 + replay.longest_pause_days() if replay.first_s else 0
    wanted = {key: row for key, row in replay.credits.rows.items() if key[1] >= first}
    rows = connection.execute(select(UPTIME).where(UPTIME.c.day >= first))
    for row in rows:
        key = (row.node, row.day, row.farm)
        made = wanted.pop(key, None)
        shown = {name: row._mapping[name] for name in (*SUMS, "last")}
        if made != shown:
            place = ", ".join(f"{name} {part}" for name, part in zip(KEY, key, strict=True))
            raise DamagedError(f"the account of {place} has {shown}, and by the log it is {made}")
    if wanted:
        raise DamagedError(f"the account lacks a day: node, day and farm {min(wanted)}")
