"""HTTP as a node speaks it: no retries, and no answer that drips for ever."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from node.model import NodeError

CONNECT_S = 5.0
READ_S = 15.0
HEAD_S = 60.0  # from the question to the end of the answer's head
CHUNK_BYTES = 1 << 18


class HeadLimit(HTTPConnection):
    """Ends a connection whose answer's head is not there within `HEAD_S`.

    A socket's time-out counts from byte to byte, so a head could drip for ever.
    """

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3 does
        """Return the answer once its head is there. Raises `TimeoutError` after `HEAD_S`."""
        is_over = threading.Event()

        def expire() -> None:
            is_over.set()
            if self.sock is not None:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

        timer = threading.Timer(HEAD_S, expire)
        timer.daemon = True
        timer.start()
        try:
            return super().getresponse()
        except Exception as error:
            if is_over.is_set():
                raise TimeoutError(f"no answer within {HEAD_S:g} s") from error
            raise
        finally:
            timer.cancel()


class SecureHeadLimit(HeadLimit, HTTPSConnection):
    """The same through TLS."""


class LimitedPool(HTTPConnectionPool):
    """Connections with `HeadLimit`."""

    ConnectionCls = HeadLimit


class LimitedSecurePool(HTTPSConnectionPool):
    """Connections with `HeadLimit` through TLS."""

    ConnectionCls = SecureHeadLimit


def open_pool(proxy: str, connect_s: float, read_s: float) -> urllib3.PoolManager:
    """Return a pool of connections, through the proxy at the URL `proxy` if it is not empty."""
    timeout = urllib3.Timeout(connect=connect_s, read=read_s)
    pool = (
        urllib3.ProxyManager(proxy, timeout=timeout, retries=False)
        if proxy
        else urllib3.PoolManager(timeout=timeout, retries=False)
    )
    pool.pool_classes_by_scheme = {"http": LimitedPool, "https": LimitedSecurePool}
    return pool


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
