"""The audit log: who has changed what, and when."""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from flist.hub.state.tables import AUDIT
from flist.hub.state.viewer import Viewer
from serving.database import Database

SUBJECT_CHARS = 500
PAGE_ROWS = 100


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log."""

    id: int
    at_s: float
    account: str
    address: str
    action: str
    subject: str
    detail: str


class Audit:
    """Writes and reads the log."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def note(
        self,
        viewer: Viewer,
        action: str,
        subject: str,
        detail: str = "",
        connection: Connection | None = None,
    ) -> None:
        """Add a line: in the caller's transaction, if it gives its `connection`."""
        row = insert(AUDIT).values(
            at_s=time.time(),
            account=viewer.name[:100],
            address=viewer.address[:64],
            action=action,
            subject=subject[:SUBJECT_CHARS],
            detail=detail[:SUBJECT_CHARS],
        )
        if connection is not None:
            connection.execute(row)
            return
        with self.database.writing() as own:
            own.execute(row)

    def page(
        self,
        *,
        before: int = 0,
        subject: str = "",
        account: str = "",
        action: str = "",
        rows: int = PAGE_ROWS,
    ) -> list[Event]:
        """Return the newest lines, older than the line `before` if that is given.

        With a `subject`, its lines only: a repository's are those that begin with its name. An
        `action` may be the first word of several, such as `token`.
        """
        wanted = select(AUDIT).order_by(AUDIT.c.id.desc()).limit(min(rows, PAGE_ROWS))
        if before:
            wanted = wanted.where(AUDIT.c.id < before)
        if subject:
            wanted = wanted.where(AUDIT.c.subject.startswith(subject, autoescape=True))
        if account:
            wanted = wanted.where(AUDIT.c.account == account)
        if action:
            wanted = wanted.where(AUDIT.c.action.startswith(action, autoescape=True))
        with self.database.reading() as connection:
            return [Event(*row) for row in connection.execute(wanted)]

    def forget(self, before_s: float) -> int:
        """Remove the lines from before a time; return how many."""
        with self.database.writing() as connection:
            return connection.execute(delete(AUDIT).where(AUDIT.c.at_s < before_s)).rowcount
