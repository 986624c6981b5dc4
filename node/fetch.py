"""Fetches a flist and its signature from the hub; the signature is checked before any parsing."""

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import urllib3

from common.files import open_atomic
from flist.errors import SignatureError
from flist.format.signing.trust import verify_flist
from node.model import NodeError

MAX_SIGNATURE_BYTES = 4096
CONNECT_S = 5.0
READ_S = 15.0
HEAD_S = 60.0  # from the connection to the end of the answer's head
FETCH_DEADLINE_S = 900.0
CHUNK_BYTES = 1 << 18


@contextlib.contextmanager
def time_limit(seconds: float, who: str = "the hub") -> Iterator[None]:
    """Raise `TimeoutError` if the block, in the main thread, takes longer.

    A socket's time-out counts from byte to byte, so the head of an answer could drip for ever.
    """

    def expire(*_: object) -> None:
        raise TimeoutError(f"{who} does not answer within {seconds:g} s")

    handler = signal.signal(signal.SIGALRM, expire)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


def open_pool(proxy: str, connect_s: float, read_s: float) -> urllib3.PoolManager:
    """Return a pool of connections, through the proxy at the URL `proxy` if it is not empty."""
    timeout = urllib3.Timeout(connect=connect_s, read=read_s)
    if proxy:
        return urllib3.ProxyManager(proxy, timeout=timeout, retries=False)
    return urllib3.PoolManager(timeout=timeout, retries=False)


class Hub:
    """A hub's address and the connections to it."""

    def __init__(self, url: str, proxy: str = "") -> None:
        self.url = url
        self.pool = open_pool(proxy, CONNECT_S, READ_S)

    def fetch(self, path: str, limit_bytes: int) -> Iterator[bytes]:
        """Yield the body at `path`; raise `NodeError` for one that is too large or too slow."""
        url = f"{self.url}/{path}"
        began = time.monotonic()
        with time_limit(HEAD_S):
            response = self.pool.request("GET", url, preload_content=False)
        try:
            if response.status != 200:
                raise NodeError(
                    f"cannot fetch {url}: the hub answered {response.status}", code="ZB42"
                )
            yield from read_body(response, url, limit_bytes, began, FETCH_DEADLINE_S)
        finally:
            response.close()

    def fetch_text(self, path: str, limit_bytes: int) -> str:
        """Return the short text at `path`."""
        data = b"".join(self.fetch(path, limit_bytes))
        try:
            return data.decode("ascii")
        except UnicodeDecodeError as error:
            raise NodeError(f"cannot use {self.url}/{path}: not a text") from error


def read_body(
    response: urllib3.BaseHTTPResponse, url: str, limit_bytes: int, began: float, deadline_s: float
) -> Iterator[bytes]:
    """Yield the body of a response; raise `NodeError` for one that is too large or too slow.

    `began` is the monotonic time at which the request began.
    """
    size = 0
    # read1 returns what has arrived, so the deadline also catches a server that drips.
    while chunk := response.read1(CHUNK_BYTES, decode_content=False):
        size += len(chunk)
        if size > limit_bytes:
            raise NodeError(f"cannot fetch {url}: it is larger than {limit_bytes} bytes")
        if time.monotonic() > began + deadline_s:
            raise NodeError(f"cannot fetch {url}: not done in {deadline_s:g} s")
        yield chunk


def fetch_flist(
    hub_url: str, name: str, target: Path, keys: list[bytes], limit_bytes: int, proxy: str = ""
) -> int:
    """Save the hub's flist `name` as `target` if one of `keys` signed it; return its size in bytes.

    A flist larger than `limit_bytes` is refused. On `NodeError`, `target` is unchanged.
    """
    hub = Hub(hub_url, proxy)
    try:
        signature = hub.fetch_text(f"{name}.fl.sig", MAX_SIGNATURE_BYTES)
        with open_atomic(target, mode=0o600) as stream:
            for chunk in hub.fetch(f"{name}.fl", limit_bytes):
                stream.write(chunk)
            stream.flush()
            check_signature(Path(stream.name), signature, name, keys)
            return stream.tell()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise NodeError(
            f"cannot fetch {hub_url}/{name}.fl: {describe(error)}", code="ZB42"
        ) from error
    finally:
        hub.pool.clear()


def check_signature(path: Path, signature: str, name: str, keys: list[bytes]) -> None:
    """Raise `NodeError` unless one of `keys` signed the file at `path` as flist `name`."""
    try:
        verify_flist(path, signature, name, keys)
    except SignatureError as error:
        raise NodeError(f"flist {name} refused: {error}", code="ZB43") from error


def describe(error: Exception, who: str = "the hub") -> str:
    """Return the reason of an error without Python's object names."""
    if isinstance(error, urllib3.exceptions.ProxyError):
        return f"the proxy refuses, or does not answer ({type(error.original_error).__name__})"
    if isinstance(error, urllib3.exceptions.SSLError):
        return f"the certificate of {who} is refused: {error}"
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return f"no name server knows {who}"
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return f"{who} does not answer (connection refused or no route)"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return f"{who} does not answer in time"
    return str(error)
