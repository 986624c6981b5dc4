"""Flists that follow a tag of an image: by a schedule, or when a webhook is called."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update

from common.errors import UsageError, ZosError
from flist.errors import FlistError
from flist.hub.errors import AbsentError, ForbiddenError, InvalidError
from flist.hub.jobs.convert import check_image, convert, resolve
from flist.hub.jobs.jobs import Context
from flist.hub.library.hub import Hub
from flist.hub.names import is_flist
from flist.hub.state.tables import FOLLOWS, REPOSITORIES
from flist.hub.state.viewer import PUBLISH, READ, UPLOAD, Viewer

MIN_INTERVAL_S = 60.0
MESSAGE_MAX_CHARS = 500
SECRET_BYTES = 24
KIND = "follow"


@dataclass(frozen=True, slots=True)
class Follow:
    """One flist that follows an image; `interval_s` is None if only its webhook makes it."""

    id: int
    repository: str
    name: str
    image: str
    interval_s: float | None
    has_hook: bool
    seen: str
    checked_s: float
    message: str
    created_by: str


class Follows:
    """The table of a hub's follows."""

    def __init__(self, hub: Hub, clock: Callable[[], float] = time.time) -> None:
        self.hub = hub
        self.clock = clock

    def put(
        self,
        viewer: Viewer,
        repository: str,
        name: str,
        image: str,
        *,
        interval_s: float | None,
        has_hook: bool = False,
    ) -> tuple[Follow, str]:
        """Let a flist follow an image, in place of what it followed before.

        Returns it with the webhook's secret, which is shown this once; "" without a webhook.
        """
        if not is_flist(name):
            raise InvalidError("not the name of a flist", hint="NAME.fl")
        if interval_s is None and not has_hook:
            raise InvalidError("it needs an interval or a webhook, or both")
        if interval_s is not None and interval_s < MIN_INTERVAL_S:
            raise InvalidError(f"the interval must be {MIN_INTERVAL_S:g} s at least")
        try:
            full = check_image(image)
        except (UsageError, FlistError) as error:
            raise InvalidError(error.message) from error
        found = self.hub.repositories.demand_write(viewer, repository)
        secret = secrets.token_urlsafe(SECRET_BYTES) if has_hook else ""
        mine = {"repository_id": found.id, "name": name}
        values = {
            **mine,
            "image": full,
            "interval_s": interval_s,
            "hook_digest": hash_secret(secret) if secret else None,
            "seen": "",
            "checked_s": 0.0,
            "message": "not checked yet",
            "created_by": viewer.name,
        }
        with self.hub.database.writing() as connection:
            connection.execute(delete(FOLLOWS).filter_by(**mine))
            connection.execute(insert(FOLLOWS).values(values))
        self.hub.audit.note(viewer, "follow.put", f"{repository}/{name}", full)
        return self.find(viewer, repository, name), secret

    def find(self, viewer: Viewer, repository: str, name: str) -> Follow:
        """Return what a flist follows. Raises `AbsentError`."""
        rows = [f for f in self.list_of(viewer, repository) if f.name == name]
        if not rows:
            raise AbsentError(f"{repository}/{name} follows no image")
        return rows[0]

    def list_of(self, viewer: Viewer, repository: str) -> list[Follow]:
        """Return what follows an image in a repository that the viewer may write to."""
        found = self.hub.repositories.demand_write(viewer, repository)
        with self.hub.database.reading() as connection:
            rows = connection.execute(query().where(FOLLOWS.c.repository_id == found.id))
            return [make_follow(row) for row in rows]

    def remove(self, viewer: Viewer, repository: str, name: str) -> None:
        """Let a flist follow its image no longer. Raises `AbsentError`."""
        follow = self.find(viewer, repository, name)
        with self.hub.database.writing() as connection:
            connection.execute(delete(FOLLOWS).where(FOLLOWS.c.id == follow.id))
        self.hub.audit.note(viewer, "follow.remove", f"{repository}/{name}")

    def call_hook(self, number: int, secret: str) -> str:
        """Check a flist's image now, since its webhook was called; return the id of the job.

        Raises `AbsentError` for a wrong secret, too: who guesses learns nothing.
        """
        with self.hub.database.reading() as connection:
            row = connection.execute(query().where(FOLLOWS.c.id == number)).first()
        known = (row.hook_digest if row is not None else None) or hash_secret("")
        if not hmac.compare_digest(hash_secret(secret), known) or row is None or not secret:
            raise AbsentError("there is no such webhook")
        return self.submit(make_follow(row))

    def run_due(self) -> int:
        """Submit a job for each follow whose time has come; return how many.

        Of several servers on one database one does it: the one that has set `checked_s`.
        """
        now_s = self.clock()
        with self.hub.database.reading() as connection:
            rows = [make_follow(row) for row in connection.execute(query())]
        count = 0
        for follow in rows:
            if follow.interval_s is None or follow.checked_s + follow.interval_s > now_s:
                continue
            mine = (FOLLOWS.c.id == follow.id) & (FOLLOWS.c.checked_s == follow.checked_s)
            with self.hub.database.writing() as connection:
                claim = update(FOLLOWS).where(mine).values(checked_s=now_s)
                is_mine = connection.execute(claim).rowcount > 0
            if is_mine:
                try:
                    self.submit(follow)
                except ZosError as error:
                    self.note(follow.id, error.message)
                else:
                    count += 1
        return count

    def submit(self, follow: Follow) -> str:
        """Submit the job that checks an image, as the account that made the follow."""
        account = self.hub.accounts.find(follow.created_by)
        if account.is_disabled:
            raise ForbiddenError(f"the account {follow.created_by} is disabled")
        viewer = self.hub.accounts.viewer_of(account, frozenset((READ, UPLOAD, PUBLISH)))
        spec = {
            "follow": follow.id,
            "image": follow.image,
            "repository": follow.repository,
            "name": follow.name,
            "seen": follow.seen,
        }
        # However often a webhook is called, one job that has not begun is enough.
        waiting: str | None = self.hub.jobs.find_waiting(KIND, spec)
        return waiting or str(self.hub.jobs.submit(viewer, KIND, spec))

    def note(self, number: int, message: str, seen: str | None = None) -> None:
        """Note how a check went, and which image was converted."""
        values: dict[str, Any] = {"message": message[:MESSAGE_MAX_CHARS]}
        values |= {"checked_s": self.clock()} | ({"seen": seen} if seen is not None else {})
        with self.hub.database.writing() as connection:
            change = update(FOLLOWS).where(FOLLOWS.c.id == number)
            connection.execute(change.values(**values))


def follow(context: Context) -> dict[str, Any]:
    """Do the job `follow`: convert an image if its tag stands for another one than before."""
    table, spec = Follows(context.hub), context.task.spec
    try:
        digest = resolve(context)
        if digest == spec["seen"]:
            table.note(spec["follow"], "unchanged")
            return {"image_digest": digest, "is_changed": False}
        done = convert(context)
    except ZosError as error:
        table.note(spec["follow"], error.message)
        raise
    # What was converted counts: the tag may have moved between the two questions.
    table.note(spec["follow"], "converted", done["image_digest"] or digest)
    return {**done, "is_changed": True}


def hash_secret(secret: str) -> str:
    """Return what the database keeps of a webhook's secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def query() -> Any:
    """Return the query of follows with their repositories' names."""
    return select(*FOLLOWS.c, REPOSITORIES.c.name.label("repository")).join(
        REPOSITORIES, REPOSITORIES.c.id == FOLLOWS.c.repository_id
    )


def make_follow(row: Any) -> Follow:
    """Return what a row says."""
    return Follow(row.id, row.repository, row.name, row.image, row.interval_s,
                  row.hook_digest is not None, row.seen, row.checked_s, row.message,
                  row.created_by)  # fmt: skip
