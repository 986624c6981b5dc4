"""The table of farms: registration and changes, each signed by the owner."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from common.errors import ZosError
from common.nodes.envelope import Envelope
from registry.errors import AbsentError, ConflictError, NotAllowedError
from registry.farms.model import FarmMessage, parse_farm
from registry.log.batch import Batch
from registry.log.entries import FARM
from registry.names import show_key
from registry.state.tables import FARMS
from serving.database import Database

NEXT_BELOW = 1 << 31
"""A farm that does not name its number gets one below this, after the highest if that is free."""


@dataclass(frozen=True, slots=True)
class FarmChange:
    """A message that arrived. `may_register` is whether this sender may make new farms."""

    envelope: Envelope
    may_register: bool = True


@dataclass(frozen=True, slots=True)
class FarmAccepted:
    """What was done."""

    farm: int
    sequence: int
    position: int
    is_new: bool


class Farms:
    """Reads and writes the table."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def find(self, number: int) -> Any:
        """Return the row of a farm. Raises `AbsentError`."""
        with self.database.reading() as connection:
            row = find_farm(connection, number)
        if row is None:
            raise AbsentError(f"there is no farm {number}", hint="`zos registry farm` registers it")
        return row

    def accept(self, batch: Batch, changes: Sequence[FarmChange]) -> list[FarmAccepted | ZosError]:
        """Take messages into the log; the handler for the scribe."""
        results: list[FarmAccepted | ZosError] = []
        for change in changes:
            try:
                results.append(accept_one(batch, change))
            except ZosError as error:
                results.append(error)
        return results


def accept_one(batch: Batch, change: FarmChange) -> FarmAccepted:
    """Register or change one farm. Raises `ZosError` before anything is written."""
    message = parse_farm(change.envelope.payload)
    number = message.farm or next_number(batch.connection)
    before = find_farm(batch.connection, number)
    check_change(change, message, before)
    check_name_is_free(batch.connection, message.name, number)
    fields = {"farm": number, "message": change.envelope.fields}
    position = batch.add(FARM, number, fields)
    row = {**message.row(), "changed_s": batch.at_s, "position": position}
    if before is None:
        batch.connection.execute(insert(FARMS).values(number=number, created_s=batch.at_s, **row))
    else:
        batch.connection.execute(update(FARMS).where(FARMS.c.number == number).values(row))
    return FarmAccepted(number, message.sequence, position, before is None)


def check_change(change: FarmChange, message: FarmMessage, before: Any) -> None:
    """Raise `ZosError` unless the sender may do this, and it follows what is there."""
    key = show_key(change.envelope.key)
    if before is None and not change.may_register:
        raise NotAllowedError(
            "this registry takes no new farms from everybody", hint="ask its operator"
        )
    if key != (message.owner if before is None else before.owner):
        what = "a new farm's owner signs it" if before is None else "its owner's key signs changes"
        raise NotAllowedError(f"another key than the farm's has signed the message: {what}")
    expected = 1 if before is None else before.sequence + 1
    if message.sequence != expected:
        error = ConflictError(
            f"the message's sequence is {message.sequence}, and {expected} is the next one",
            hint="read the farm again: somebody has changed it, or the message was sent before",
        )
        error.http_members = {"expected": {"sequence": expected}}
        raise error


def check_name_is_free(connection: Connection, name: str, number: int) -> None:
    """Raise `ConflictError` if another farm has the name."""
    same = select(FARMS.c.number).where(FARMS.c.name_key == name.lower(), FARMS.c.number != number)
    if connection.execute(same).first() is not None:
        raise ConflictError(f"another farm has the name {name}")


def find_farm(connection: Connection, number: int) -> Any:
    """Return the row of a farm, or None."""
    return connection.execute(select(FARMS).where(FARMS.c.number == number)).first()


def next_number(connection: Connection) -> int:
    """Return the number of a farm that names none. Raises `ConflictError`.

    A farm may have named the last number below the limit: then it follows the highest before that
    which has a free one after it.
    """
    after = FARMS.alias()
    is_taken = select(after.c.number).where(after.c.number == FARMS.c.number + 1).exists()
    highest = (
        select(FARMS.c.number)
        .where(FARMS.c.number < NEXT_BELOW - 1, ~is_taken)
        .order_by(FARMS.c.number.desc())
        .limit(1)
    )
    return int(connection.execute(highest).scalar() or 0) + 1
