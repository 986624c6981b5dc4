"""Requests to the bootstrap server and the hub, each with deadlines."""

import contextlib
import time
from collections.abc import Iterator

import urllib3

from common.errors import ZosError

CONNECT_S = 5.0
SILENCE_S = 20.0
LEAST_RATE = 4096  # bytes per second, after `GRACE_S`
GRACE_S = 60.0
CHUNK_BYTES = 1 << 16
REDIRECTS = 3
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
    """One server, by its URL without a slash at its end. Threads may share one."""

    def __init__(self, url: str) -> None:
        self.url = url
        timeout = urllib3.Timeout(connect=CONNECT_S, read=SILENCE_S)
        retries = urllib3.Retry(total=REDIRECTS, connect=1, read=0, status=0, other=0)
        self._pool = urllib3.PoolManager(
            maxsize=POOL_SIZE, timeout=timeout, retries=retries, headers={"User-Agent": "zos-lan"}
        )

    @contextlib.contextmanager
    def open(self, path: str, etag: str = "") -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield the answer to GET: status 200, or 304 if its ETag is `etag`.

        Raises `UpstreamError`, also for what goes wrong with the body in the block.
        """
        headers = {"Accept-Encoding": "identity", "User-Agent": "zos-lan"}
        if etag:
            headers["If-None-Match"] = etag
        url = self.url + path
        try:
            response = self._pool.request("GET", url, headers=headers, preload_content=False)
            try:
                if response.status not in (200, 304):
                    raise UpstreamError(f"{url} answers {response.status}", response.status)
                yield response
            except BaseException:
                response.close()  # the rest of its body would be taken for the next answer
                raise
            finally:
                response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise UpstreamError(f"cannot fetch {url}: {error}") from error

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
