"""Downloads one file of known size over HTTP, through the proxies that the user or apt has set."""

import functools
import threading
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import urllib3

from common.errors import ZosError
from common.run import CommandError, run

CHUNK_BYTES = 1 << 18
OK = 200
TIMEOUT = urllib3.Timeout(connect=10, read=30)
RETRIES = urllib3.Retry(total=4, connect=2, read=2, redirect=4, backoff_factor=0.3)
ASK_DEADLINE_S = 30


class NotOfferedError(ZosError):
    """A server does not have a file, or can't be reached."""


class Download:
    """A file to fetch, of exactly `size` bytes, unless `stop` is set first."""

    def __init__(self, url: str, size: int, stop: threading.Event) -> None:
        self.url = url
        self.size = size
        self.stop = stop

    def save(self, path: Path) -> None:
        """Write at most one byte more than the file should have. Raises `NotOfferedError`."""
        try:
            answer = connections(find_proxy(self.url)).request(
                "GET", self.url, preload_content=False, decode_content=False,
                timeout=TIMEOUT, retries=RETRIES,
            )  # fmt: skip
            try:
                if answer.status != OK:
                    raise NotOfferedError(f"the server answers {answer.status}")
                self._copy(answer, path)
            finally:
                answer.close()
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise NotOfferedError(f"cannot be reached: {reason}") from error

    def _copy(self, answer: urllib3.BaseHTTPResponse, path: Path) -> None:
        left = self.size + 1
        with open(path, "wb") as stream:
            while left and (chunk := answer.read(min(CHUNK_BYTES, left))):
                if self.stop.is_set():
                    raise NotOfferedError("stopped")
                left -= stream.write(chunk)


@functools.cache
def connections(proxy: str) -> urllib3.PoolManager:
    """Return the connections through `proxy`, or without one."""
    return urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()


def find_proxy(url: str) -> str:
    """Return the proxy for `url`, from the environment or apt's settings; "" for none."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    return urllib.request.getproxies().get(parts.scheme) or apt_proxy(parts.scheme)


@functools.cache
def apt_proxy(scheme: str) -> str:
    """Return the proxy that the host's apt uses for `scheme`; "" for none, or without apt."""
    name = f"Acquire::{scheme}::Proxy"
    try:
        said = run(["apt-config", "dump", "--format", "%v%n", name], timeout_s=ASK_DEADLINE_S)
    except CommandError:
        return ""
    words = said.decode().split()
    return words[0] if words and words[0] != "DIRECT" else ""
