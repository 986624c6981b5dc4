"""Which hubs this one follows, and when: a table that all servers of a hub share."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Row, delete, insert, select, update

from common.errors import UsageError, ZosError
from flist.http.urls import split_url
from flist.hub.errors import AbsentError, ConflictError, ForbiddenError
from flist.hub.library.hub import Hub
from flist.hub.mirror.follow import Follower, Pulled
from flist.hub.mirror.tokens import read_tokens
from flist.hub.state.tables import MIRRORS
from flist.hub.state.viewer import SCOPES, Viewer

MESSAGE_MAX_CHARS = 500
URL_MAX_CHARS = 500
MIN_INTERVAL_S = 60.0
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Mirror:
    """One hub that is followed; `urls` has commas between them."""

    id: int
    urls: str
    pattern: str
    created_by: str
    interval_s: float
    checked_s: float
    message: str


class Mirrors:
    """The hubs that `hub` follows."""

    def __init__(self, hub: Hub, clock: Callable[[], float] = time.time) -> None:
        self.hub = hub
        self.clock = clock

    def add(self, viewer: Viewer, user: str, urls: str, pattern: str, interval_s: float) -> int:
        """Follow a hub, and publish as `user`; return the number of the row.

        Raises `AbsentError`, `ConflictError`, `UsageError`.
        """
        check_urls(urls)
        if interval_s < MIN_INTERVAL_S:
            raise UsageError(f"cannot pull more often than every {MIN_INTERVAL_S:g} s")
        if any(row.urls == urls and row.pattern == pattern for row in self.list_all()):
            raise ConflictError(f"{urls} is followed already, with that pattern")
        values = {
            "url": urls,
            "pattern": pattern,
            "created_by": self.hub.accounts.find(user).name,
            "interval_s": interval_s,
            "checked_s": 0.0,
            "message": "not pulled yet",
        }
        with self.hub.database.writing() as connection:
            made = connection.execute(insert(MIRRORS).values(values)).inserted_primary_key
        self.hub.audit.note(viewer, "mirror.add", urls, pattern)
        assert made is not None
        return int(made[0])

    def list_all(self) -> list[Mirror]:
        """Return all, in the order in which they were added."""
        with self.hub.database.reading() as connection:
            rows = connection.execute(select(MIRRORS).order_by(MIRRORS.c.id))
            return [make_mirror(row) for row in rows]

    def find(self, number: int) -> Mirror:
        """Return one. Raises `AbsentError`."""
        found = next((mirror for mirror in self.list_all() if mirror.id == number), None)
        if found is None:
            raise AbsentError(f"there is no mirror {number}", hint="`zos hub mirror list`")
        return found

    def remove(self, viewer: Viewer, number: int) -> None:
        """Follow a hub no longer; what was pulled stays. Raises `AbsentError`."""
        mirror = self.find(number)
        with self.hub.database.writing() as connection:
            connection.execute(delete(MIRRORS).where(MIRRORS.c.id == number))
        self.hub.audit.note(viewer, "mirror.remove", mirror.urls, mirror.pattern)

    def run_due(self, tell: Tell) -> int:
        """Pull from every hub whose time has come; return how many.

        Of several servers on one database one does it: the one that has set `checked_s`.
        """
        now_s = self.clock()
        due = [
            mirror for mirror in self.list_all() if mirror.checked_s + mirror.interval_s <= now_s
        ]
        return sum(self.run(mirror, tell) is not None for mirror in due if self.claim(mirror))

    def claim(self, mirror: Mirror) -> bool:
        """Take the turn of a mirror; return False if another server has."""
        row = (MIRRORS.c.id == mirror.id) & (MIRRORS.c.checked_s == mirror.checked_s)
        with self.hub.database.writing() as connection:
            change = update(MIRRORS).where(row).values(checked_s=self.clock())
            return connection.execute(change).rowcount > 0

    def run(self, mirror: Mirror, tell: Tell) -> Pulled | None:
        """Pull from one hub, and note how it went; None if the hub could not be reached."""
        done: Pulled | None = None
        try:
            viewer = self.puller(mirror)
            token = read_tokens(self.hub.settings.mirror_tokens).get(mirror.urls, "")
            done = Follower(self.hub, viewer, tell).pull(mirror.urls, mirror.pattern, token)
            text = done.describe()
        except (ZosError, OSError) as error:
            text = f"failed: {error}"
        tell(f"{mirror.urls} {mirror.pattern}: {text}")
        change = update(MIRRORS).where(MIRRORS.c.id == mirror.id)
        with self.hub.database.writing() as connection:
            connection.execute(
                change.values(message=text[:MESSAGE_MAX_CHARS], checked_s=self.clock())
            )
        return done

    def puller(self, mirror: Mirror) -> Viewer:
        """Return as whom a mirror publishes. Raises `AbsentError` and `ForbiddenError`."""
        account = self.hub.accounts.find(mirror.created_by)
        if account.is_disabled:
            raise ForbiddenError(f"the account {mirror.created_by} is disabled")
        return self.hub.accounts.viewer_of(account, SCOPES)


def make_mirror(row: Row[tuple[object, ...]]) -> Mirror:
    """Return what a row says."""
    return Mirror(row.id, row.url, row.pattern, row.created_by, row.interval_s, row.checked_s,
                  row.message)  # fmt: skip


def check_urls(urls: str) -> None:
    """Raise `UsageError` unless these are http(s) URLs with commas between them."""
    for url in urls.split(","):
        parts = split_url(url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise UsageError(
                f"cannot follow {url[:80]!r}",
                hint="http://HOST[:PORT][/PATH]; a token goes into the file of --mirror-tokens",
            )
    if len(urls) > URL_MAX_CHARS:
        raise UsageError(f"cannot follow addresses of more than {URL_MAX_CHARS} characters")
