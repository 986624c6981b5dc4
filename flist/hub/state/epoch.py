"""The epoch: a number that grows when somebody may read less than before.

What a server remembers of who may read what is valid for one epoch.
"""

from sqlalchemy import Connection, select, update

from flist.hub.state.tables import FACTS
from serving.database import insert_new

EPOCH, REMOVALS = "epoch", "removals"
"""`removals` grows with each batch of blocks that garbage collection is about to remove."""


def read(connection: Connection, name: str = EPOCH) -> int:
    """Return the number."""
    found = connection.execute(select(FACTS.c.value).where(FACTS.c.name == name)).scalar()
    return int(found or 0)


def bump(connection: Connection, name: str = EPOCH) -> None:
    """Make the number grow, for all who read it after this transaction."""
    insert_new(connection, FACTS, {"name": name, "value": "0"})
    mine = FACTS.c.name == name
    if connection.dialect.name == "postgresql":  # of several transactions, each counts
        connection.execute(select(FACTS.c.value).where(mine).with_for_update())
    value = read(connection, name) + 1
    connection.execute(update(FACTS).where(mine).values(value=str(value)))
