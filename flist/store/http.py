"""The `http` and `https` stores: GET URL/hh/<64 hex>, and on 404 URL/<64 hex>. Read only.

http.client with a pool of kept connections: a quarter of the import time of the larger client
libraries, which a node pays at every boot.
"""

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from common.errors import UsageError
from flist.blocks import MAX_BLOCK_BYTES
from flist.errors import BlockMissingError, StoreError, StoreUnavailableError
from flist.store.pipeline import Pipeline
from flist.store.urls import split_url

TIMEOUT_S = 20.0
BODY_DEADLINE_S = 60.0
NOT_FOUND = (404, 410)
BUSY = (408, 425, 429)
"""Answers that mean "later"; so does every 5xx."""
KEPT_FOR_READS = 2
"""So many open connections are left to those who wait for one block."""
MAX_BROKEN = 2
"""After so many pipelines in a row that the server was unfit for, no more are tried."""


class Request(NamedTuple):
    """One request."""

    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]


class HttpStore:
    """Blocks behind an HTTP server."""

    def __init__(
        self,
        url: str,
        timeout_s: float = TIMEOUT_S,
        max_bytes: int = MAX_BLOCK_BYTES,
        deadline_s: float = BODY_DEADLINE_S,
    ) -> None:
        parts = split_url(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"cannot open store {url!r}: it names no host", hint="http://HOST:PORT/PATH"
            )
        self.url = url
        self.host = parts.hostname
        self.secure = parts.scheme == "https"
        self.port = parts.port or (443 if self.secure else 80)
        self.base = parts.path.rstrip("/")
        self.query = f"?{parts.query}" if parts.query else ""
        self.timeout_s = timeout_s
        self.max_bytes = max_bytes
        self.deadline_s = deadline_s
        self.idle: list[http.client.HTTPConnection] = []
        self.announced: dict[bytes, Pipeline] = {}
        self.broken_left = MAX_BROKEN
        self.lock = threading.Lock()

    def paths(self, block_id: bytes) -> Sequence[str]:
        """Return where a block may be, likely places first."""
        name = block_id.hex()
        return f"{name[:2]}/{name}", name

    def get(self, block_id: bytes) -> bytes:
        """Return a block."""
        pipeline = self.announced.get(block_id)
        data = pipeline.take(block_id) if pipeline is not None else None
        if data is not None:
            return data
        for path in self.paths(block_id):
            status, body = self.ask("GET", path)
            if status == 200:
                return body
            if status not in NOT_FOUND:
                raise refusal(status, self.url)
        raise BlockMissingError(f"cannot read block {block_id.hex()}: it is not at {self.url}")

    @contextlib.contextmanager
    def announce(self, block_ids: Sequence[bytes]) -> Iterator[None]:
        """Ask at once for all blocks that `get` will be asked for within the block, one after the
        other; for none, open a connection."""
        if self.broken_left <= 0:
            yield
            return
        with self.lock:
            kept = self.idle.pop() if len(self.idle) > KEPT_FOR_READS else None
            pipeline = Pipeline(kept or self.connect(), self.max_bytes)
            self.announced.update(dict.fromkeys(block_ids, pipeline))
        try:
            pipeline.send([(block_id, self.locate(block_id)) for block_id in block_ids])
            yield
        finally:
            is_usable = pipeline.finish()
            with self.lock:
                for block_id in block_ids:
                    if self.announced.get(block_id) is pipeline:  # and not of another thread
                        del self.announced[block_id]
                if is_usable:
                    self.idle.append(pipeline.connection)
                if pipeline.is_unfit and kept is None:  # a kept one may just have been closed
                    self.broken_left -= 1
                elif is_usable and block_ids:
                    self.broken_left = MAX_BROKEN

    def locate(self, block_id: bytes) -> str:
        """Return the path of a block's likely place, from the server's root."""
        return f"{self.base}/{self.paths(block_id)[0]}{self.query}"

    def has(self, block_id: bytes) -> bool:
        """Whether the block is there."""
        for path in self.paths(block_id):
            status, _ = self.ask("HEAD", path)
            if status == 200:
                return True
            if status not in NOT_FOUND:
                raise refusal(status, self.url)
        return False

    def put(self, block_id: bytes, data: bytes) -> None:
        """Refuse: a plain web server takes nothing."""
        del block_id, data
        raise StoreError(f"cannot write to {self.url}: an http store can only be read")

    def flush(self) -> None:
        """Nothing is ever written."""

    def close(self) -> None:
        """Close the kept connections."""
        with self.lock:
            idle, self.idle = self.idle, []
        for connection in idle:
            connection.close()

    def adopt(self, connection: http.client.HTTPConnection) -> bool:
        """Use an open connection, if it leads to this server; return whether it does."""
        is_secure = isinstance(connection, http.client.HTTPSConnection)
        if (is_secure, connection.host, connection.port) != (self.secure, self.host, self.port):
            return False
        with self.lock:
            self.idle.append(connection)
        return True

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Return status and body of one request; a kept connection that died is replaced once."""
        request = Request(method, f"{self.base}/{path}{self.query}", body, headers or {})
        with self.lock:
            kept = self.idle.pop() if self.idle else None
        if kept is not None:
            try:
                return self.exchange(kept, request)
            except (OSError, ValueError, http.client.HTTPException):
                kept.close()  # the server closed it while it was idle
        connection = self.connect()
        try:
            return self.exchange(connection, request)
        except (OSError, ValueError, http.client.HTTPException) as error:
            connection.close()
            reason = str(error) or type(error).__name__
            raise StoreUnavailableError(f"cannot reach {self.url}: {reason}") from error
        except BaseException:
            connection.close()
            raise

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection, not yet open."""
        if self.secure:
            return http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout_s)
        return http.client.HTTPConnection(self.host, self.port, timeout=self.timeout_s)

    def exchange(
        self, connection: http.client.HTTPConnection, request: Request
    ) -> tuple[int, bytes]:
        """Return status and body of one request over `connection`, which is kept if it may be."""
        connection.request(request.method, request.path, request.body, dict(request.headers))
        response = connection.getresponse()
        body = read_body(response, request.method, self.max_bytes, self.deadline_s)
        if response.length == 0:
            response.close()  # read1 does not say so itself when it has read all
        if response.isclosed() and not response.will_close:
            with self.lock:
                self.idle.append(connection)
        else:
            connection.close()  # more than any block may have: the rest is not read
        return response.status, body


def read_body(
    response: http.client.HTTPResponse, method: str, limit: int, deadline_s: float = BODY_DEADLINE_S
) -> bytes:
    """Return the body, up to one byte more than `limit`, within a deadline.

    Raises `IncompleteRead` for a body that is cut off, `TimeoutError` for one that drips in.
    """
    deadline = time.monotonic() + deadline_s
    pieces = []
    left = limit + 1
    while left > 0 and (piece := response.read1(left)):
        pieces.append(piece)
        left -= len(piece)
        if time.monotonic() > deadline:
            raise TimeoutError("the body takes too long")
    body = b"".join(pieces)
    length = response.getheader("Content-Length")
    if method != "HEAD" and length is not None and len(body) < min(int(length), limit):
        raise http.client.IncompleteRead(body)
    return body


def refusal(status: int, url: str) -> StoreError:
    """Return the error for an answer that is neither the block nor its absence."""
    if status >= 500 or status in BUSY:
        return StoreUnavailableError(f"cannot read from {url}: it answered {status}")
    return StoreError(f"cannot read from {url}: it answered {status}")


def open_store(url: str) -> HttpStore:
    """Return the store at `url`."""
    return HttpStore(url)
