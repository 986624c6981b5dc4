"""HTTP as registries need it: deadlines, retries, and redirects that carry no secret."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from flist.oci.errors import ImageError
from flist.oci.image import printable

CONNECT_S = 10.0
READ_S = 60.0
TRIES = 4
FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 20.0
MAX_HOPS = 6
REDIRECTS = (301, 302, 303, 307, 308)
LATER = (408, 425, 429, 500, 502, 503, 504)
PORTS = {"http": 80, "https": 443}
Response = urllib3.BaseHTTPResponse


class BrokenTransferError(ImageError):
    """An answer broke off or stalled; asking for the rest of it may help."""


class Origin(NamedTuple):
    """Whom a secret is for: scheme, host and port."""

    scheme: str
    host: str
    port: int


def origin(url: str) -> Origin:
    """Return the origin of `url`; raises `ImageError` if it is not an http(s) URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError) as error:
        raise ImageError(f"cannot go to {printable(url)!r}: it is no http URL") from error
    if not parts.hostname:
        raise ImageError(f"cannot go to {printable(url)!r}: it names no host")
    return Origin(parts.scheme, parts.hostname.lower(), port)


class Answer(NamedTuple):
    """What came, and whether it came from the origin that was asked."""

    response: Response
    is_home: bool


class Web:
    """A pool of connections. `is_insecure` allows plain HTTP."""

    def __init__(self, *, is_insecure: bool = False, pause_s: float = FIRST_PAUSE_S) -> None:
        self.is_insecure = is_insecure
        self.pause_s = pause_s
        timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
        self.pool = urllib3.PoolManager(retries=False, timeout=timeout, maxsize=4)

    def close(self) -> None:
        """Close all connections."""
        pools = self.pool.pools
        for kept in [pools[key] for key in pools.keys()]:  # noqa: SIM118 it can't be iterated
            kept.close()
        self.pool.clear()

    @contextlib.contextmanager
    def get(self, url: str, headers: Mapping[str, str], secret: str = "") -> Iterator[Answer]:
        """Give the answer to a GET, redirects followed; `secret` goes to `url`'s origin only."""
        home = origin(url)
        for _ in range(MAX_HOPS):
            sent = dict(headers)
            if secret and origin(url) == home:
                sent["Authorization"] = secret
            with self.send("GET", url, sent) as response:
                target = response.headers.get("Location")
                if response.status not in REDIRECTS or not target:
                    yield Answer(response, origin(url) == home)
                    return
                url = self.redirect(url, target)
        raise ImageError(f"cannot read {printable(url)}: it redirects in circles")

    def redirect(self, url: str, target: str) -> str:
        """Return where a redirect leads; never from TLS to plain text."""
        try:
            found = urljoin(url, target)
        except ValueError as error:
            raise ImageError(f"cannot go to {printable(target)!r}: it is no http URL") from error
        if origin(found).scheme == "http" and origin(url).scheme == "https":
            raise ImageError(f"cannot read {printable(url)}: it redirects to plain HTTP")
        return found

    @contextlib.contextmanager
    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Iterator[Response]:
        """Give the answer to one request, tried again while the server is busy or unreachable."""
        place = origin(url)
        if place.scheme == "http" and not self.is_insecure:
            raise ImageError(
                f"cannot read {printable(url)}: plain HTTP is not used",
                hint="--insecure allows it, for registries in your own network",
            )
        response = self.try_often(method, url, headers, body)
        try:
            yield response
        except HTTPError as error:
            reason = printable(str(error))
            raise BrokenTransferError(f"cannot read from {place.host}: {reason}") from error
        finally:
            response.close()
            response.release_conn()

    def try_often(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Response:
        """Return the first answer that is not "later"."""
        pause_s = self.pause_s
        for attempt in range(1, TRIES + 1):
            wait_s = pause_s
            try:
                response = self.pool.request(
                    method, url, headers=dict(headers), body=body,
                    redirect=False, preload_content=False, decode_content=False,
                )  # fmt: skip
            except (HTTPError, OSError, ValueError) as error:
                if attempt == TRIES or is_final(error):
                    host = origin(url).host
                    reason = printable(str(error))
                    raise ImageError(
                        f"cannot reach {host}: {reason}",
                        hint="--insecure, if it is a registry of your own that speaks plain HTTP"
                        if isinstance(error, urllib3.exceptions.SSLError)
                        else None,
                    ) from error
            else:
                if response.status not in LATER or attempt == TRIES:
                    return response
                wait_s = max(pause_s, read_seconds(response.headers.get("Retry-After", "")))
                response.close()
            time.sleep(min(wait_s, MAX_PAUSE_S))
            pause_s *= 2
        raise AssertionError


def is_final(error: Exception) -> bool:
    """Whether trying again is of no use: a certificate, a name, a URL."""
    kinds = (urllib3.exceptions.SSLError, urllib3.exceptions.LocationValueError, ValueError)
    return isinstance(error, (*kinds, urllib3.exceptions.NameResolutionError))


def read_seconds(text: str) -> float:
    """Return the seconds of a Retry-After header; dates count as none."""
    return float(text) if text.isdigit() and len(text) < 6 else 0.0


def read_limited(response: Response, limit: int, what: str) -> bytes:
    """Return a whole body; raises `ImageError` if it is larger than `limit`."""
    parts = []
    size = 0
    for piece in response.stream(64 << 10, decode_content=False):
        parts.append(piece)
        size += len(piece)
        if size > limit:
            raise ImageError(f"cannot read {what}: it has more than {limit} bytes")
    return b"".join(parts)
