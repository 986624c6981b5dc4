"""Downloads: one for each address at a time, whoever waits for it.

A job runs in a thread of its own pool and reports to the event loop. Readers that go away do not
end it: the next one gets what it has fetched.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import urllib3

from common.errors import ZosError
from serving.mirror.addresses import Address
from serving.mirror.arriving import Arriving
from serving.mirror.shelf import Kept, Shelf
from serving.mirror.upstream import Upstream, UpstreamError, read_body, read_size

THREADS = 16
_STRONG = re.compile(r'"[\x21\x23-\x7e]{1,200}"')
_SHA256 = re.compile(r'"([0-9a-f]{64})"')
BINARY = "application/octet-stream"


class Job:
    """One request to an upstream. `head` is the answer when its header has come; None: the upstream
    says that what is kept is current."""

    def __init__(self, address: Address, kept: Kept | None) -> None:
        self.address = address
        self.kept = kept
        self.loop = asyncio.get_running_loop()
        self.head: asyncio.Future[Arriving | None] = self.loop.create_future()
        self.head.add_done_callback(lambda head: head.exception())  # it may have no reader left
        self.ended = asyncio.Event()

    def tell(self, function: Callable[..., None], *words: Any) -> None:
        """Call a function on the event loop."""
        self.loop.call_soon_threadsafe(function, *words)

    def start(self, arriving: Arriving | None) -> None:
        """Take the answer's header."""
        if not self.head.done():
            self.head.set_result(arriving)

    def fail(self, error: Exception) -> None:
        """Tell every reader what went wrong."""
        if self.head.done():
            arriving = self.head.result()
            if arriving is not None:
                arriving.finish(str(error))
        else:
            self.head.set_exception(error)


class Jobs:
    """The jobs of one mirror, by path. Its methods are called on the event loop."""

    def __init__(self, shelf: Shelf, warn: Callable[[str], None]) -> None:
        self.shelf = shelf
        self.warn = warn
        self._running: dict[str, Job] = {}
        self._threads = ThreadPoolExecutor(THREADS, "mirror")

    def join(self, address: Address, kept: Kept | None, upstream: Upstream) -> Job:
        """Return the job of an address: the running one, or a new one."""
        job = self._running.get(address.path)
        if job is None:
            job = self._running[address.path] = Job(address, kept)
            self._threads.submit(self._run, job, upstream)
        return job

    def close(self) -> None:
        """Begin no further job."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _run(self, job: Job, upstream: Upstream) -> None:
        """Fetch, in a thread."""
        try:
            self._fetch(job, upstream)
        except (ZosError, OSError, urllib3.exceptions.HTTPError) as error:
            self.warn(f"{upstream.url}{job.address.target}: {error}")
            job.tell(job.fail, error)
        except BaseException as error:
            job.tell(job.fail, UpstreamError(f"the mirror failed: {error!r}"))
            raise
        finally:
            job.tell(self._end, job)

    def _confirm(self, job: Job) -> None:
        """Tell readers that what is kept is current. Whoever asks after that asks anew."""
        self._end(job)
        job.start(None)

    def _finish(self, job: Job, arriving: Arriving) -> None:
        """Give readers the last byte. Whoever asks after that starts a request of its own."""
        self._end(job)
        arriving.finish()

    def _end(self, job: Job) -> None:
        if self._running.get(job.address.path) is job:
            self._running.pop(job.address.path)
        job.ended.set()

    def _fetch(self, job: Job, upstream: Upstream) -> None:
        address, kept = job.address, job.kept
        asked = self.shelf.clock()
        with upstream.open(address.target, kept.etag if kept else "") as response:
            if response.status == 304 and kept:
                self.shelf.confirm(address.path, asked)
                job.tell(self._confirm, job)
                return
            size, etag = read_size(response), response.headers.get("etag", "")
            if size > self.shelf.limit_bytes:
                raise UpstreamError(f"{size} bytes are more than this mirror may keep")
            kind = response.headers.get("content-type", BINARY)
            strong = etag if _STRONG.fullmatch(etag) else ""
            with self.shelf.writing() as stream:
                arriving = Arriving(Path(stream.name), size, strong, kind)
                job.tell(job.start, arriving)
                checks = Checks(address, strong)
                for piece in read_body(response, size):
                    stream.write(piece)
                    checks.update(piece)
                    job.tell(arriving.advance, checks.count)
                sha256 = checks.finish()
                row = Kept(address.path, sha256, size, strong or f'"{sha256}"', kind, asked)
                self.shelf.add(row, Path(stream.name))
                job.tell(self._finish, job, arriving)


class Checks:
    """The digests that an answer must have: those in its address, and an ETag that is a SHA-256."""

    def __init__(self, address: Address, etag: str) -> None:
        named = _SHA256.fullmatch(etag)
        # The ETag of a block is its own digest, which is no SHA-256.
        by_etag = named[1] if named and not address.block else ""
        self.wanted = {value for value in (address.sha256, by_etag) if value}
        self.block = address.block
        self.count = 0
        self._sha256 = hashlib.sha256()
        self._block = hashlib.blake2b(digest_size=32)

    def update(self, piece: bytes) -> None:
        """Take the next bytes."""
        self.count += len(piece)
        self._sha256.update(piece)
        if self.block:
            self._block.update(piece)

    def finish(self) -> str:
        """Return the SHA-256 of the whole. Raises `UpstreamError` if it is not what it must be."""
        found = self._sha256.hexdigest()
        if self.wanted - {found} or (self.block and self._block.hexdigest() != self.block):
            raise UpstreamError("the answer is damaged: it does not have the digest that it must")
        return found
