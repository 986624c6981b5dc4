"""Requests below one URL: redirects followed, an answer that means "later" waited out.

A user and password in the URL are for Basic authentication (RFC 7617). That or a token goes to the
URL's own server only: once a redirect has led elsewhere, it is not sent again.
"""

import threading
import time
from collections.abc import Mapping
from types import MappingProxyType

from common.errors import UsageError
from flist.errors import StoreError, StoreUnavailableError
from flist.http.origin import MAX_HEADER_BYTES, Origin, Request, Response, find_origin
from flist.http.patience import LONGEST_S, Patience
from flist.http.redirects import MAX_ELSEWHERE, MAX_REDIRECTS, is_redirect, resolve
from flist.http.retry import Backoff, is_final, read_retry_after
from flist.http.status import is_later
from flist.http.urls import credentials, hide_secrets, path_of, split_url

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 20.0
SKIPPED_BYTES = 64 << 10
"""The body of a redirect is read up to this size, so that its connection can be used again."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Client:
    """Talks to the server of `url`, which is shown without its password. Safe to use from several
    threads.

    Answers have at most `max_bytes`, and the server is given up when it is silent for `timeout_s`.
    With `tries` above 1, a request is repeated while the server is busy or does not answer. Unless
    `is_following`, a redirect is an answer like others.
    """

    def __init__(
        self,
        url: str,
        *,
        max_bytes: int,
        timeout_s: float = LONGEST_S,
        tries: int = 1,
        first_pause_s: float = FIRST_PAUSE_S,
        is_following: bool = True,
    ) -> None:
        parts = split_url(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"cannot use {hide_secrets(url)!r}: it names no host", hint="http://HOST:PORT/PATH"
            )
        self.url = hide_secrets(url)
        self.origin = find_origin(parts)
        self.base = parts.path.rstrip("/")
        self.query = f"?{parts.query}" if parts.query else ""
        self.secret = credentials(parts)
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.tries = tries
        self.first_pause_s = first_pause_s
        self.is_following = is_following
        self.elsewhere: dict[str, Origin] = {}
        self.lock = threading.Lock()

    def close(self) -> None:
        """Close the idle connections."""
        self.origin.close()
        for origin in list(self.elsewhere.values()):
            origin.close()

    def locate(self, path: str) -> str:
        """Return `path` from the server's root; without a slash, it is below the client's URL."""
        if path.startswith("/"):
            return path
        return f"{self.base}/{path}{self.query}"

    def be_patient(self, limit_s: float | None = None, max_bytes: int | None = None) -> Patience:
        """Return the time that a request has, at most the client's, and the size of its answer."""
        limit_s = self.timeout_s if limit_s is None else min(limit_s, self.timeout_s)
        max_bytes = self.max_bytes if max_bytes is None else max_bytes
        return Patience(limit_s, max_bytes + MAX_HEADER_BYTES)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        *,
        secret: str = "",
        patience: Patience | None = None,
    ) -> tuple[int, bytes]:
        """Return status and body of an answer; a body above `max_bytes` has one byte more."""
        with self.open(method, path, body, headers, secret=secret, patience=patience) as response:
            return response.status, response.read(self.max_bytes)

    def open(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        *,
        secret: str = "",
        patience: Patience | None = None,
    ) -> Response:
        """Return the answer to a request once its header has come.

        `secret` is the value of the Authorization header, in place of the URL's. Raises
        `StoreUnavailableError` and `StoreError`.
        """
        request = Request(method, self.locate(path), body, headers, secret or self.secret)
        patience = patience or self.be_patient()
        pauses = Backoff(self.first_pause_s, LONGEST_PAUSE_S)
        for _ in range(self.tries - 1):
            try:
                response = self.follow(request, patience)
            except StoreUnavailableError as error:
                if is_final(error):
                    raise
                pause_s = pauses.next_s()
            else:
                if not is_later(response.status):
                    return response
                with response:
                    pause_s = pauses.next_s(read_retry_after(response.header("Retry-After")))
            time.sleep(pause_s)
            patience.renew()
        return self.follow(request, patience)

    def follow(self, request: Request, patience: Patience) -> Response:
        """Return the answer to `request`, redirects of GET and HEAD followed."""
        origin, is_home = self.origin, True
        for _ in range(MAX_REDIRECTS + 1):
            response = origin.open(request, patience)
            if not self.is_following or not is_redirect(request.method, response):
                response.is_home = is_home
                return response
            with response:
                parts = resolve(f"{origin.url}{request.path}", response.location, self.url)
                response.read(SKIPPED_BYTES)
            new = self.find(find_origin(parts))
            is_home = is_home and new is origin
            secret = request.secret if is_home else ""
            request = request._replace(path=path_of(parts), secret=secret)
            origin = new
        raise StoreError(f"cannot read from {self.url}: it redirects in circles")

    def find(self, origin: Origin) -> Origin:
        """Return the origin that is used already, with its connections, for an equal one."""
        with self.lock:
            if origin.url == self.origin.url:
                return self.origin
            if origin.url not in self.elsewhere and len(self.elsewhere) >= MAX_ELSEWHERE:
                raise StoreError(f"cannot read from {self.url}: it redirects to too many servers")
            return self.elsewhere.setdefault(origin.url, origin)
