"""Tells those who watch a farm which of its machines have reported, also to another server.

Once a second, one query asks for the changes of all farms that are watched.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool

from bootstrap_server.nodes.bootlog import BootLog, Machine
from common.errors import ZosError
from serving.rates import group_address

POLL_S = 1.0
LATE_S = 60.0  # a transaction may become visible so long after its time, or its clock be off
WATCHERS_MAX = 256
WATCHERS_OF_ONE = 16  # client address, so that nobody takes the places of all
WAITING_MAX = 100

Changes = asyncio.Queue[list[Machine] | None]
"""Machines that have changed; None ends it."""


class WatchersFullError(ZosError):
    """Too many clients watch."""

    http_status = 503

    def __init__(self) -> None:
        super().__init__("too many clients watch farms at the moment", hint="try again later")
        self.http_headers = {"Retry-After": "10"}


class ClientWatchesError(ZosError):
    """One client watches too often at once."""

    http_status = 429

    def __init__(self) -> None:
        super().__init__(
            f"this address watches farms {WATCHERS_OF_ONE} times already",
            hint="close other pages that watch",
        )
        self.http_headers = {"Retry-After": "10"}


@dataclass
class Feed:
    """One farm that is watched; `counts` are the reports of each machine that were told."""

    version: tuple[int, int]
    counts: dict[str, int]
    watchers: set[Changes] = field(default_factory=set)

    def tell(self, machines: list[Machine] | None) -> None:
        """Put changes before every watcher; one that has not taken the earlier ones is let go."""
        for changes in list(self.watchers):
            if changes.full():
                self.watchers.discard(changes)
                changes.get_nowait()
                changes.put_nowait(None)
            else:
                changes.put_nowait(machines)


class Watch:
    """The watchers of one application, and the task that serves them while there are any."""

    def __init__(self, log: BootLog, is_stopping: Callable[[], bool]) -> None:
        self.log = log
        self.is_stopping = is_stopping
        self.feeds: dict[int, Feed] = {}
        self.counts: Counter[str] = Counter()  # of those who watch, by client
        self.task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def watching(self, farm: int, address: str) -> AsyncIterator[Changes]:
        """Give the changes from now on to a client.

        Raises `WatchersFullError` and `ClientWatchesError`.
        """
        with self.counting(group_address(address)):  # before the wait, in which others come
            feed = self.feeds.get(farm) or self.feeds.setdefault(
                farm, await run_in_threadpool(self.open_feed, farm)
            )
            changes: Changes = asyncio.Queue(WAITING_MAX)
            feed.watchers.add(changes)
            if self.task is None or self.task.done():
                self.task = asyncio.get_running_loop().create_task(self.work())
            try:
                yield changes
            finally:
                feed.watchers.discard(changes)

    @contextlib.contextmanager
    def counting(self, client: str) -> Iterator[None]:
        """Count one of those who watch."""
        if self.counts.total() >= WATCHERS_MAX:
            raise WatchersFullError
        if self.counts[client] >= WATCHERS_OF_ONE:
            raise ClientWatchesError
        self.counts[client] += 1
        try:
            yield
        finally:
            self.counts[client] -= 1
            self.counts += Counter()  # drops those who watch no more

    def open_feed(self, farm: int) -> Feed:
        """Return a feed that has told everything so far."""
        version = self.log.versions_of([farm]).get(farm, (0, 0))
        machines = self.log.list_farm(farm)
        return Feed(version, {machine.label: machine.count for machine in machines})

    async def work(self) -> None:
        """Serve until nobody watches any more, or the server stops."""
        while self.feeds:
            await asyncio.sleep(POLL_S)
            for farm in [farm for farm, feed in self.feeds.items() if not feed.watchers]:
                del self.feeds[farm]
            if self.is_stopping():
                for feed in self.feeds.values():
                    feed.tell(None)
                return
            with contextlib.suppress(ZosError):  # the database may come back
                await self.look()

    async def look(self) -> None:
        """Tell what has changed since the last look."""
        found = await run_in_threadpool(self.log.versions_of, list(self.feeds))
        for farm, version in found.items():
            feed = self.feeds.get(farm)
            if feed and feed.version != version:
                changed = await run_in_threadpool(self.find_changes, farm, feed)
                feed.version = version
                if changed:
                    feed.tell(changed)

    def find_changes(self, farm: int, feed: Feed) -> list[Machine]:
        """Return the machines that have reported since they were told."""
        machines = self.log.list_farm(farm, self.log.clock() - LATE_S)
        changed = [m for m in machines if feed.counts.get(m.label) != m.count]
        feed.counts |= {machine.label: machine.count for machine in changed}
        return changed
