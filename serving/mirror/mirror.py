"""The mirror: what is kept for good is served from disk, anything else is asked for again.

While an upstream is away, what was current at most `stale_s` ago is served, with a word in the log.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from common.errors import ZosError
from serving.content import Content, FileOpener
from serving.mirror.addresses import Address, Addresses
from serving.mirror.arriving import Arriving, ArrivingContent
from serving.mirror.jobs import Jobs
from serving.mirror.shelf import Kept, Shelf
from serving.mirror.upstream import Upstream, UpstreamError
from serving.pools import Pool

REST_S = 10.0
"""For so long an upstream that did not answer is not asked for what is kept."""
TRIES = 3
HOUR_S = 3600


class NotMirroredError(ZosError):
    """The mirror does not have such addresses."""

    http_status = 404


class Found(NamedTuple):
    """What a request gets."""

    content: Content
    media_type: str
    is_kept: bool  # for good: it never changes


class Mirror:
    """Answers the addresses of a table. Its methods are called on one event loop."""

    def __init__(
        self,
        addresses: Addresses,
        shelf: Shelf,
        upstreams: Mapping[str, Upstream],
        pool: Pool,
        stale_s: float,
        warn: Callable[[str], None],
    ) -> None:
        self.addresses = addresses
        self.shelf = shelf
        self.upstreams = upstreams
        self.pool = pool
        self.stale_s = stale_s
        self.warn = warn
        self.jobs = Jobs(shelf, warn)
        self._opener = FileOpener()
        self._resting: dict[str, float] = {}  # upstream -> until when

    async def open(self, path: str) -> Found:
        """Return what is at a path of the mirror. Raises errors with an HTTP status."""
        address = self.addresses.find(path)
        if address is None:
            raise NotMirroredError("this mirror has no such address")
        for _ in range(TRIES):  # what is kept may go at any moment, to make room
            found = await self._open(address)
            if found is not None:
                return found
        raise UpstreamError("the mirror has no room to keep the answer")

    def close(self) -> None:
        """Begin no further download, and close what is open."""
        self.jobs.close()
        for upstream in self.upstreams.values():
            upstream.close()

    async def _open(self, address: Address) -> Found | None:
        kept = self.shelf.find(address.path)
        if kept and address.is_kept:
            return await self.pool.run(self._open_kept, address, kept)
        if (
            kept
            and self._resting.get(address.upstream, 0) > time.monotonic()
            and (stale := await self.pool.run(self._open_stale, address, kept))
        ):
            return stale
        try:
            job = self.jobs.join(address, kept, self.upstreams[address.upstream])
            arriving = await job.head
        except UpstreamError as error:
            return await self._without_upstream(address, kept, error)
        if arriving is None and kept is None:
            await job.ended.wait()
            kept = self.shelf.find(address.path)
        if arriving is not None:
            return await self._follow(address, arriving)
        return await self.pool.run(self._open_kept, address, kept) if kept else None

    async def _without_upstream(
        self, address: Address, kept: Kept | None, error: UpstreamError
    ) -> Found:
        """Return what is kept although it can't be told whether it is current."""
        if not error.is_away:
            self.shelf.remove(address.path)
            raise error
        self._resting[address.upstream] = time.monotonic() + REST_S
        stale = await self.pool.run(self._open_stale, address, kept) if kept else None
        if stale is None:
            raise error
        return stale

    def _open_stale(self, address: Address, kept: Kept) -> Found | None:
        age_s = self.shelf.clock() - kept.checked
        if not 0 <= age_s <= self.stale_s:
            self.warn(f"{address.path}: kept {age_s / HOUR_S:.0f} h ago, which is too long")
            return None
        found = self._open_kept(address, kept)
        if found:
            self.warn(f"{address.path}: served as it was {age_s / HOUR_S:.1f} h ago")
        return found

    async def _follow(self, address: Address, arriving: Arriving) -> Found | None:
        """Return an answer that arrives at this moment."""
        try:
            content = ArrivingContent(arriving, os.open(arriving.file, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:  # it is complete already, or was damaged
            await arriving.wait_until_whole()
            kept = self.shelf.find(address.path)
            return await self.pool.run(self._open_kept, address, kept) if kept else None
        if arriving.etag:
            return Found(content, arriving.media_type, address.is_kept)
        content.close()
        await arriving.wait_until_whole()  # only then it can be told what its ETag is
        kept = self.shelf.find(address.path)
        return await self.pool.run(self._open_kept, address, kept) if kept else None

    def _open_kept(self, address: Address, kept: Kept) -> Found | None:
        """Open the content that is kept; None if it is damaged, or has just gone."""
        if not self.shelf.is_whole(kept):
            return None
        place = self.shelf.place(kept.sha256)
        try:
            content = self._opener.open(place, kept.etag)
        except FileNotFoundError:
            return None
        return Found(content, kept.media_type, address.is_kept)
