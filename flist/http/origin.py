"""One HTTP server: requests over connections that are kept, each answered within patience.

http.client with a pool: a quarter of the import time of the larger client libraries, which a node
pays at every boot.
"""

import http.client
import ssl
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from flist.errors import StoreError, StoreUnavailableError
from flist.http.patience import Patience, PatientSocket

MAX_HEADER_BYTES = 1 << 20
FAULTS = (OSError, ValueError, http.client.HTTPException)


class Request(NamedTuple):
    """One request; `path` begins at the server's root."""

    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]


class Answer(NamedTuple):
    """What came; `location` is where a redirect leads."""

    status: int
    body: bytes
    location: str


class Origin:
    """A server by scheme, host and port (as RFC 6454 has it). Safe to use from several threads."""

    def __init__(self, host: str, port: int, *, is_secure: bool) -> None:
        self.host = host
        self.port = port
        self.is_secure = is_secure
        self.idle: list[http.client.HTTPConnection] = []
        self.tls: ssl.SSLContext | None = None
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """The server's root, without a slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_secure else 'http'}://{host}:{self.port}"

    def ask(self, request: Request, patience: Patience, max_bytes: int) -> Answer:
        """Return what is answered, a body up to one byte more than `max_bytes`.

        A kept connection that died is replaced once. Raises `StoreUnavailableError`, and
        `StoreError` for a server that is not the one that was named.
        """
        kept = self.take(0)
        try:
            if kept is not None:
                try:
                    return self.exchange(kept, request, patience, max_bytes)
                except FAULTS as error:
                    if isinstance(error, TimeoutError):
                        raise
                    # The server closed it while it was idle.
            return self.exchange(self.connect(), request, patience, max_bytes)
        except ssl.SSLCertVerificationError as error:
            raise StoreError(
                f"cannot trust {self.url}: {error.verify_message}",
                hint="SSL_CERT_FILE names a file of authorities",
            ) from error
        except FAULTS as error:
            if isinstance(error, TimeoutError):
                self.close()  # what is idle may be as dead
            reason = str(error) or type(error).__name__
            raise StoreUnavailableError(f"cannot reach {self.url}: {reason}") from error

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection, not yet open."""
        if not self.is_secure:
            return http.client.HTTPConnection(self.host, self.port)
        self.tls = self.tls or ssl.create_default_context()
        return http.client.HTTPSConnection(self.host, self.port, context=self.tls)

    def exchange(
        self,
        connection: http.client.HTTPConnection,
        request: Request,
        patience: Patience,
        max_bytes: int,
    ) -> Answer:
        """Return what is answered over `connection`, which is kept if it may be."""
        try:
            arm(connection, patience)
            connection.request(request.method, request.path, request.body, dict(request.headers))
            response = connection.getresponse()
            body = read_body(response, request.method, max_bytes)
        except BaseException:
            connection.close()
            raise
        if response.length == 0:
            response.close()  # read1 does not say so itself when it has read all
        if response.isclosed() and not response.will_close:
            self.keep(connection)
        else:
            response.close()
            connection.close()  # more than any block may have: the rest is not read
        return Answer(response.status, body, response.getheader("Location", ""))

    def is_of(self, connection: http.client.HTTPConnection) -> bool:
        """Whether a connection leads to this server."""
        is_secure = isinstance(connection, http.client.HTTPSConnection)
        found = (is_secure, connection.host, connection.port)
        return found == (self.is_secure, self.host, self.port)

    def keep(self, connection: http.client.HTTPConnection) -> None:
        """Keep an open connection for the next request."""
        with self.lock:
            self.idle.append(connection)

    def take(self, kept: int) -> http.client.HTTPConnection | None:
        """Return an open connection, if there are more than `kept`."""
        with self.lock:
            return self.idle.pop() if len(self.idle) > kept else None

    def close(self) -> None:
        """Close the kept connections."""
        with self.lock:
            idle, self.idle = self.idle, []
        for connection in idle:
            connection.close()


def arm(connection: http.client.HTTPConnection, patience: Patience) -> PatientSocket:
    """Open a connection if it is not open yet; from now on it waits as long as `patience` says."""
    known: Any = connection.sock
    if isinstance(known, PatientSocket):
        known.patience = patience
        return known
    connection.timeout = patience.left()
    connection.connect()
    opened: Any = connection.sock
    patient = connection.sock = PatientSocket(opened, patience)
    return patient


def read_body(response: http.client.HTTPResponse, method: str, limit: int) -> bytes:
    """Return the body, up to one byte more than `limit`.

    Raises `IncompleteRead` for a body that is cut off.
    """
    pieces = []
    left = limit + 1
    while left > 0 and (piece := response.read1(left)):
        pieces.append(piece)
        left -= len(piece)
    body = b"".join(pieces)
    length = response.getheader("Content-Length")
    if method != "HEAD" and length is not None and len(body) < min(int(length), limit):
        raise http.client.IncompleteRead(body)
    return body
