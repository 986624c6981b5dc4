"""Requests to the servers that are mirrored, each with deadlines."""

import contextlib
import time
from collections.abc import Callable, Iterator

import urllib3

from common.errors import ZosError

CONNECT_S = 5.0
SILENCE_S = 20.0
LEAST_RATE = 4096  # bytes per second, after `GRACE_S`
GRACE_S = 60.0
CHUNK_BYTES = 1 << 16
REDIRECTS = 3
REST_S = 30.0
AGENT = "zos-mirror"
POOL_SIZE = 16
AWAY = (429, 500, 502, 503, 504)
"""What says that the upstream can't answer now, and nothing of the address."""


class UpstreamError(ZosError):
    """The upstream has no answer. `is_away`: it may have one later."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.is_away = status == 0 or status in AWAY
        self.http_status = 502 if self.is_away or status in (401, 403) else status
        if self.is_away:
            self.http_status, self.http_headers = 503, {"Retry-After": "2"}


class Upstream:
    """A server by its URLs, which have the same content; threads may share one.

    The first URL is used while it answers well. One that did not is tried last for a while.
    """

    def __init__(self, *urls: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.urls = urls
        self._clock = clock
        self._resting: dict[str, float] = {}  # URL -> until when
        timeout = urllib3.Timeout(connect=CONNECT_S, read=SILENCE_S)
        retries = urllib3.Retry(total=REDIRECTS, connect=1, read=0, status=0, other=0)
        self._pool = urllib3.PoolManager(maxsize=POOL_SIZE, timeout=timeout, retries=retries)

    @property
    def url(self) -> str:
        """Return the URL that is preferred now."""
        return self._in_order()[0]

    def _in_order(self) -> list[str]:
        now = self._clock()
        return sorted(self.urls, key=lambda url: max(self._resting.get(url, now), now))

    @contextlib.contextmanager
    def open(self, path: str, etag: str = "") -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield the answer to GET: status 200, or 304 if its ETag is `etag`.

        Raises `UpstreamError`, also for what goes wrong with the body in the block.
        """
        url, response = self._ask(path, etag)
        try:
            yield response
        except BaseException as error:
            response.close()  # the rest of its body would be taken for the next answer
            if isinstance(error, (UpstreamError, urllib3.exceptions.HTTPError)):
                self._resting[url] = self._clock() + REST_S
            if isinstance(error, urllib3.exceptions.HTTPError):
                raise UpstreamError(f"cannot fetch {url}{path}: {error}") from error
            raise
        finally:
            response.release_conn()

    def _ask(self, path: str, etag: str) -> tuple[str, urllib3.BaseHTTPResponse]:
        """Return the first good answer, and the URL that gave it.

        What one server does not have, another one may. Raises `UpstreamError`: if they disagree,
        what says that a server is away, since the answer may then come later.
        """
        headers = {"Accept-Encoding": "identity", "User-Agent": AGENT}
        if etag:
            headers["If-None-Match"] = etag
        errors = []
        for url in self._in_order():
            try:
                return url, self._ask_one(url + path, headers)
            except UpstreamError as error:
                errors.append(error)
                if error.is_away:
                    self._resting[url] = self._clock() + REST_S
        raise next((error for error in errors if error.is_away), errors[0])

    def _ask_one(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        try:
            response = self._pool.request("GET", url, headers=headers, preload_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise UpstreamError(f"cannot fetch {url}: {error}") from error
        if response.status in (200, 304):
            return response
        response.close()
        response.release_conn()
        raise UpstreamError(f"{url} answers {response.status}", response.status)

    def send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        """Send a small message once, and return the start of the answer. Raises `UpstreamError`."""
        url = self.url + path
        try:
            response = self._pool.request(
                method,
                url,
                body=body or None,
                headers=headers,
                retries=False,
                timeout=CONNECT_S,
                preload_content=False,
            )
            with contextlib.closing(response):
                data = response.read(CHUNK_BYTES)
        except urllib3.exceptions.HTTPError as error:
            raise UpstreamError(f"cannot reach {url}: {error}") from error
        if response.status not in (200, 204):
            raise UpstreamError(f"{url} answers {response.status}", response.status)
        return data

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.clear()


def read_body(response: urllib3.BaseHTTPResponse, size: int) -> Iterator[bytes]:
    """Yield the body in pieces. Raises `UpstreamError` if it is not `size` bytes, or too slow."""
    began, count = time.monotonic(), 0
    while piece := response.read1(CHUNK_BYTES):  # what there is, so that readers need not wait
        count += len(piece)
        if count > size:
            raise UpstreamError("the answer is longer than it said")
        late_s = time.monotonic() - began - GRACE_S
        if late_s * LEAST_RATE > count:
            raise UpstreamError("the answer comes too slowly")
        yield piece
    if count != size:
        raise UpstreamError(f"the answer ended after {count} of {size} bytes")


def read_size(response: urllib3.BaseHTTPResponse) -> int:
    """Return the announced length of a body: without one, the end of it can't be told."""
    text = response.headers.get("content-length", "")
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise UpstreamError("the answer does not say its length")
    if int(text) == 0:
        raise UpstreamError("the answer is empty")
    return int(text)
