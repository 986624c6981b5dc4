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
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeoutError` if the block, in the main thread, takes longer.

    A socket's time-out counts from byte to byte, so the head of an answer could drip for ever.
    """

    def expire(*_: object) -> None:
        raise TimeoutError(f"the hub does not answer within {seconds:g} s")

    handler = signal.signal(signal.SIGALRM, expire)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


class Hub:
    """A hub's address and the connections to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
        self.pool = urllib3.PoolManager(timeout=timeout, retries=False)

    def fetch(self, path: str, limit_bytes: int) -> Iterator[bytes]:
        """Yield the body at `path`; raise `NodeError` for one that is too large or too slow."""
        url = f"{self.url}/{path}"
        began = time.monotonic()
        with time_limit(HEAD_S):
            response = self.pool.request("GET", url, preload_content=False)
        try:
            if response.status != 200:
                raise NodeError(f"cannot fetch {url}: the hub answered {response.status}")
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


def fetch_flist(hub_url: str, name: str, target: Path, keys: list[bytes], limit_bytes: int) -> int:
    """Save the hub's flist `name` as `target` if one of `keys` signed it; return its size in bytes.

    A flist larger than `limit_bytes` is refused. On `NodeError`, `target` is unchanged.
    """
    hub = Hub(hub_url)
    try:
        signature = hub.fetch_text(f"{name}.fl.sig", MAX_SIGNATURE_BYTES)
        with open_atomic(target, mode=0o600) as stream:
            for chunk in hub.fetch(f"{name}.fl", limit_bytes):
                stream.write(chunk)
            stream.flush()
            check_signature(Path(stream.name), signature, name, keys)
            return stream.tell()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise NodeError(f"cannot fetch {hub_url}/{name}.fl: {describe(error)}") from error
    finally:
        hub.pool.clear()


def check_signature(path: Path, signature: str, name: str, keys: list[bytes]) -> None:
    """Raise `NodeError` unless one of `keys` signed the file at `path` as flist `name`."""
    try:
        verify_flist(path, signature, name, keys)
    except SignatureError as error:
        raise NodeError(f"flist {name} refused: {error}") from error


def describe(error: Exception) -> str:
    """Return the reason of an error without Python's object names."""
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return "the hub does not answer (connection refused or no route)"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "the hub does not answer in time"
    return str(error)
