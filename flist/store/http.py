"""The `http` and `https` stores: GET URL/hh/<64 hex>, and on 404 URL/<64 hex>. Read only.

    http://[user:password@]host[:port]/path

User and password are for Basic authentication. Redirects of GET and HEAD are followed, never from
TLS to plain text; what says who asks (user, password, token) goes to the URL's own server only.
"""

import base64
import contextlib
import http.client
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin

from common.errors import UsageError
from flist.blocks.codec import MAX_BLOCK_BYTES
from flist.errors import BlockMissingError, StoreError, StoreUnavailableError
from flist.http.origin import MAX_HEADER_BYTES, Origin, Request
from flist.http.patience import LONGEST_S, Patience
from flist.http.pipeline import Pipeline
from flist.http.urls import hide_secrets, split_url

if TYPE_CHECKING:
    from urllib.parse import SplitResult

NOT_FOUND = (404, 410)
NO_SUCH_METHOD = 405
BUSY = (408, 425, 429)
"""Answers that mean "later"; so does every 5xx."""
REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 5
MAX_ELSEWHERE = 16
"""To so many other servers redirects of one store may lead."""
KEPT_FOR_READS = 2
"""So many open connections are left to those who wait for one block."""
MAX_BROKEN = 2
"""After so many pipelines in a row that the server was unfit for, no more are tried."""


class HttpStore:
    """Blocks behind an HTTP server; `url` is shown, without its password."""

    def __init__(
        self, url: str, timeout_s: float = LONGEST_S, max_bytes: int = MAX_BLOCK_BYTES
    ) -> None:
        parts = split_url(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"cannot open store {url!r}: it names no host", hint="http://HOST:PORT/PATH"
            )
        self.url = hide_secrets(url)
        self.origin = find_origin(parts)
        self.base = parts.path.rstrip("/")
        self.query = f"?{parts.query}" if parts.query else ""
        self.headers = credentials(parts)
        self.timeout_s = timeout_s
        self.max_bytes = max_bytes
        self.elsewhere: dict[str, Origin] = {}
        self.announced: dict[bytes, Pipeline] = {}
        self.broken_left = MAX_BROKEN
        self.lock = threading.Lock()

    def paths(self, block_id: bytes) -> Sequence[str]:
        """Return where a block may be, likely places first."""
        name = block_id.hex()
        return f"{name[:2]}/{name}", name

    def get(self, block_id: bytes) -> bytes:
        """Return a block."""
        return self.get_within(block_id, self.timeout_s)

    def get_within(self, block_id: bytes, patience_s: float) -> bytes:
        """Return a block; the server is given up when it says nothing for so long."""
        patience = self.be_patient(patience_s)
        pipeline = self.announced.get(block_id)
        if pipeline is not None:
            try:
                data = pipeline.take(block_id, patience)
            except TimeoutError as error:
                raise StoreUnavailableError(f"cannot reach {self.url}: {error}") from error
            if data is not None:
                return data
        for path in self.paths(block_id):
            status, body = self.ask("GET", path, patience=patience)
            if status == 200:
                return body
            if status not in NOT_FOUND:
                raise refusal(status, self.url)
        raise BlockMissingError(f"cannot read block {block_id.hex()}: it is not at {self.url}")

    def be_patient(self, limit_s: float) -> Patience:
        """Return how long a request may take."""
        limit_s = min(limit_s, self.timeout_s)
        return Patience(limit_s, self.max_bytes + MAX_HEADER_BYTES)

    @contextlib.contextmanager
    def announce(self, block_ids: Sequence[bytes]) -> Iterator[None]:
        """Ask at once for all blocks that `get` will be asked for within the block, one after the
        other; for none, open a connection."""
        if self.broken_left <= 0:
            yield
            return
        kept = self.origin.take(KEPT_FOR_READS)
        pipeline = Pipeline(kept or self.origin.connect(), self.max_bytes)
        with self.lock:
            self.announced.update(dict.fromkeys(block_ids, pipeline))
        try:
            requests = [(block_id, self.locate(block_id)) for block_id in block_ids]
            pipeline.send(requests, self.headers, Patience(self.timeout_s))
            yield
        finally:
            is_usable = pipeline.finish(Patience(self.timeout_s))
            if is_usable:
                self.origin.keep(pipeline.connection)
            with self.lock:
                for block_id in block_ids:
                    if self.announced.get(block_id) is pipeline:  # and not of another thread
                        del self.announced[block_id]
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
        self.origin.close()
        for origin in list(self.elsewhere.values()):
            origin.close()

    def adopt(self, connection: http.client.HTTPConnection) -> bool:
        """Use an open connection, if it leads to this server; return whether it does."""
        is_ours = self.origin.is_of(connection)
        if is_ours:
            self.origin.keep(connection)
        return is_ours

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        patience: Patience | None = None,
    ) -> tuple[int, bytes]:
        """Return status and body of one request, redirects followed."""
        patience = patience or self.be_patient(self.timeout_s)
        origin = self.origin
        request = Request(
            method, f"{self.base}/{path}{self.query}", body, {**self.headers, **(headers or {})}
        )
        for _ in range(MAX_REDIRECTS + 1):
            answer = origin.ask(request, patience, self.max_bytes)
            is_followed = method in ("GET", "HEAD") and answer.status in REDIRECTS
            if not is_followed or not answer.location:
                return answer.status, answer.body
            parts = self.redirect(origin, request.path, answer.location)
            new = self.find(find_origin(parts))
            path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
            request = request._replace(path=path, headers=request.headers if new is origin else {})
            origin = new
        raise StoreError(f"cannot read from {self.url}: it redirects in circles")

    def redirect(self, origin: Origin, path: str, location: str) -> "SplitResult":
        """Return where a redirect leads; raises `StoreError` if we do not go there."""
        try:
            parts = split_url(urljoin(f"{origin.url}{path}", location))
        except (UsageError, ValueError) as error:
            raise StoreError(f"cannot read from {self.url}: it redirects to no URL") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StoreError(f"cannot read from {self.url}: it redirects to {parts.scheme}:")
        if origin.is_secure and parts.scheme == "http":
            raise StoreError(f"cannot read from {self.url}: it redirects to plain HTTP")
        return parts

    def find(self, origin: Origin) -> Origin:
        """Return the origin that is used already, with its connections, for an equal one."""
        with self.lock:
            if origin.url == self.origin.url:
                return self.origin
            if origin.url not in self.elsewhere and len(self.elsewhere) >= MAX_ELSEWHERE:
                raise StoreError(f"cannot read from {self.url}: it redirects to too many servers")
            return self.elsewhere.setdefault(origin.url, origin)


def find_origin(parts: "SplitResult") -> Origin:
    """Return the server of an URL that names one."""
    is_secure = parts.scheme == "https"
    return Origin(
        parts.hostname or "", parts.port or (443 if is_secure else 80), is_secure=is_secure
    )


def credentials(parts: "SplitResult") -> dict[str, str]:
    """Return the header that says who asks, if the URL does (RFC 7617)."""
    if parts.username is None and parts.password is None:
        return {}
    text = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def refusal(status: int, url: str) -> StoreError:
    """Return the error for an answer that is neither the block nor its absence."""
    if status >= 500 or status in BUSY:
        return StoreUnavailableError(f"cannot read from {url}: it answered {status}")
    return StoreError(f"cannot read from {url}: it answered {status}")


def write_refusal(status: int, url: str) -> StoreError:
    """Return the error for something that a server did not take."""
    if status in (*NOT_FOUND, NO_SUCH_METHOD):
        return StoreError(
            f"cannot write to {url}: nothing there takes that ({status})",
            hint="a hub takes something only with --tokens or --users; or the address is wrong",
        )
    return refusal(status, url)


def open_store(url: str) -> HttpStore:
    """Return the store at `url`."""
    return HttpStore(url)
