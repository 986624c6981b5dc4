"""One HTTP server: requests over connections that are kept, each answered within patience.

With the environment variable `ZOS_PROXY` (http://HOST:PORT), all servers are reached through that
proxy. The usual `http_proxy` is not used: stores are often on the same machine or network.

http.client with a pool: a quarter of the import time of the larger client libraries, which a node
pays at every boot.
"""

import http.client
import os
import ssl
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from common.errors import UsageError
from flist.errors import StoreError, StoreUnavailableError
from flist.http.patience import LONGEST_S, PIECE_BYTES, Patience, PatientSocket
from flist.http.urls import hide_secrets, split_url

if TYPE_CHECKING:
    from urllib.parse import SplitResult

MAX_HEADER_BYTES = 1 << 20
FAULTS = (OSError, ValueError, http.client.HTTPException)
PORTS = {"http": 80, "https": 443}
PROXY = "ZOS_PROXY"


class BrokenTransferError(StoreUnavailableError):
    """The body of an answer broke off or stalled; a request for the rest may succeed."""


class Request(NamedTuple):
    """One request; `path` begins at the server's root, `secret` is the value of its Authorization
    header, if it has one."""

    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]
    secret: str = ""


class Origin:
    """A server by scheme, host and port (as RFC 6454 has it). Safe to use from several threads."""

    def __init__(
        self, host: str, port: int, *, is_secure: bool, proxy: tuple[str, int] | None = None
    ) -> None:
        self.host = host
        self.port = port
        self.proxy = proxy
        self.is_secure = is_secure
        self.idle: list[http.client.HTTPConnection] = []
        self.tls: ssl.SSLContext | None = None
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """The server's root, without a slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_secure else 'http'}://{host}:{self.port}"

    def open(self, request: Request, patience: Patience) -> "Response":
        """Return the answer to `request` once its header has come.

        A kept connection that died is replaced once. Raises `StoreUnavailableError`, and
        `StoreError` for a server whose certificate is not valid.
        """
        kept = self.take(0)
        try:
            if kept is not None:
                try:
                    return self.send(kept, request, patience)
                except FAULTS as error:
                    if isinstance(error, TimeoutError):
                        raise
                    # The server closed it while it was idle.
            return self.send(self.connect(), request, patience)
        except FAULTS as error:
            raise self.explain(error) from error

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection, not yet open."""
        host, port = self.proxy or (self.host, self.port)
        if not self.is_secure:
            return http.client.HTTPConnection(host, port)
        self.tls = self.tls or ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, port, context=self.tls)
        if self.proxy:
            connection.set_tunnel(self.host, self.port)
        return connection

    def target(self, path: str) -> str:
        """Return what a request asks for: `path`, or its whole URL where a proxy must know it."""
        return f"{self.url}{path}" if self.proxy and not self.is_secure else path

    def send(
        self, connection: http.client.HTTPConnection, request: Request, patience: Patience
    ) -> "Response":
        """Send `request` over `connection` and return the answer, its body still to be read."""
        headers = dict(request.headers)
        if request.secret:
            headers["Authorization"] = request.secret
        try:
            arm(connection, patience)
            connection.request(request.method, self.target(request.path), request.body, headers)
            return Response(self, connection, connection.getresponse())
        except BaseException:
            connection.close()
            raise

    def explain(self, error: Exception) -> StoreError:
        """Return what `error`, one of `FAULTS`, means for the caller."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return StoreError(
                f"cannot trust {self.url}: {error.verify_message}",
                hint="SSL_CERT_FILE names a file of authorities",
            )
        if isinstance(error, TimeoutError):
            self.close()  # the idle connections may be as dead
        way = f" through the proxy {self.proxy[0]}:{self.proxy[1]}" if self.proxy else ""
        return StoreUnavailableError(f"cannot reach {self.url}{way}: {reason_of(error)}")

    def is_of(self, connection: http.client.HTTPConnection) -> bool:
        """Return whether a connection leads to this server."""
        is_secure = isinstance(connection, http.client.HTTPSConnection)
        found = (is_secure, connection.host, connection.port)
        return found == (self.is_secure, self.host, self.port)

    def keep(self, connection: http.client.HTTPConnection) -> None:
        """Keep an open connection for the next request."""
        with self.lock:
            self.idle.append(connection)

    def take(self, kept: int) -> http.client.HTTPConnection | None:
        """Return an idle connection if there are more than `kept`."""
        with self.lock:
            return self.idle.pop() if len(self.idle) > kept else None

    def take_all(self) -> list[http.client.HTTPConnection]:
        """Return all idle connections, which are then the caller's."""
        with self.lock:
            idle, self.idle = self.idle, []
        return idle

    def close(self) -> None:
        """Close the idle connections."""
        for connection in self.take_all():
            connection.close()


class Response:
    """An answer whose header has come. Used in a `with` block, once: at its end the connection is
    kept for the next request if the body was read whole, and closed if not.

    `is_home` says that no redirect led to another server.
    """

    def __init__(
        self,
        origin: Origin,
        connection: http.client.HTTPConnection,
        raw: http.client.HTTPResponse,
    ) -> None:
        self.origin = origin
        self.connection = connection
        self.raw = raw
        self.status = raw.status
        self.is_home = True

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        return self.header("Location")

    def header(self, name: str) -> str:
        """Return the value of a header, empty if there is none."""
        return self.raw.getheader(name, "")

    def headers(self, name: str) -> list[str]:
        """Return the values of a header that may stand several times."""
        return self.raw.headers.get_all(name) or []

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it arrives, in pieces of at most 64 KiB; raises
        `BrokenTransferError`."""
        while piece := self.read_piece(PIECE_BYTES):
            yield piece

    def read(self, limit: int) -> bytes:
        """Return the body; of one that is larger than `limit`, the first `limit` + 1 bytes.

        Raises `BrokenTransferError`.
        """
        pieces = []
        left = limit + 1
        while left > 0 and (piece := self.read_piece(left)):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def read_piece(self, size: int) -> bytes:
        """Return at most `size` bytes, none at the end of the body."""
        try:
            piece = self.raw.read1(size)
            if not piece and self.raw.length:
                raise ConnectionError("the answer is cut off")
        except FAULTS as error:
            explained = self.origin.explain(error)
            raise BrokenTransferError(explained.message) from error
        return piece

    def __enter__(self) -> "Response":
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.raw.length == 0:
            self.raw.close()  # read1 does not do that itself at the end
        if self.raw.isclosed() and not self.raw.will_close:
            self.origin.keep(self.connection)
        else:
            self.raw.close()
            self.connection.close()


def find_origin(parts: "SplitResult") -> Origin:
    """Return the server of an http or https URL that names a host."""
    port = parts.port or PORTS[parts.scheme]
    return Origin(parts.hostname or "", port, is_secure=parts.scheme == "https", proxy=find_proxy())


def find_proxy() -> tuple[str, int] | None:
    """Return host and port of the proxy that `PROXY` names; raises `UsageError`."""
    url = os.environ.get(PROXY)
    if not url:
        return None
    parts = split_url(url)
    if parts.scheme != "http" or not parts.hostname:
        raise UsageError(f"cannot use {PROXY}={hide_secrets(url)}: a proxy is http://HOST:PORT")
    return parts.hostname, parts.port or PORTS["http"]


def arm(connection: http.client.HTTPConnection, patience: Patience) -> PatientSocket:
    """Open a connection if it is not open yet; from now on it waits as long as `patience` says."""
    known: Any = connection.sock
    if isinstance(known, PatientSocket):
        known.patience = patience
        return known
    connection.timeout = min(patience.left(), LONGEST_S)
    connection.connect()
    opened: Any = connection.sock
    patient = connection.sock = PatientSocket(opened, patience)
    return patient


def reason_of(error: Exception) -> str:
    """Return what an error says, or at least its kind."""
    return str(error) or type(error).__name__
