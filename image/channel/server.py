"""The client of a bootstrap server's store: reads what all can read, writes with a token."""

import json
import os
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3

from common.errors import ZosError
from common.files import open_atomic
from common.locks import say
from image.errors import ImageError

TIMEOUT = urllib3.Timeout(connect=10, read=120)  # the server hashes what it has got
RETRIES = urllib3.Retry(
    total=5,
    redirect=0,
    allowed_methods=None,
    status_forcelist=(502, 503, 504),
    raise_on_status=False,
    backoff_factor=0.3,
)
PIECE_BYTES = 1 << 18
ANSWER_MAX_BYTES = 1 << 16
FILE_MAX_BYTES = 2 << 30
TELL_S = 2.0
NOT_THERE, CONFLICT, CHANGED = 404, 409, 412
HOW_TO_GET_ONE = "--token-file FILE or ZOS_TOKEN; `zos bootstrap token create` makes tokens"
LOCAL = ("localhost", "127.0.0.1", "::1")
Answer = urllib3.BaseHTTPResponse


class OutdatedError(ZosError):
    """The server's state is no longer what this change was made for; make it again."""


class Sending:
    """A file that is sent, and tells how far it is."""

    def __init__(self, path: Path) -> None:
        self.stream = path.open("rb")
        self.size = path.stat().st_size
        self.told = time.monotonic()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        data = self.stream.read(size)
        now = time.monotonic()
        if now - self.told > TELL_S:
            self.told = now
            say(f"sent {self.stream.tell() / 1e6:.1f} of {self.size / 1e6:.1f} MB")
        return data

    def tell(self) -> int:
        """Return the offset, from which a request is repeated."""
        return self.stream.tell()

    def seek(self, offset: int) -> int:
        """Go back for a repetition."""
        return self.stream.seek(offset)


class BootstrapServer:
    """A server at `url`; `token` may be empty for one who only reads."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url.rstrip("/")
        self.token = token
        self.pool = make_pool(self.url)
        parts = urlsplit(self.url)
        if token and parts.scheme == "http" and parts.hostname not in LOCAL:
            say(f"the token is sent to {parts.hostname} in clear: use https")

    def demand_token(self) -> None:
        """Raise `ImageError` if there is no token, or the server does not take it."""
        if not self.token:
            raise ImageError(f"cannot change {self.url} without a token", hint=HOW_TO_GET_ONE)
        self.get("/api/store/staged.json", 0)

    def get(self, path: str, limit: int) -> bytes | None:
        """Return what is at an address, up to one byte more than `limit`; None if nothing is."""
        answer = self._ask("GET", path)
        try:
            if answer.status == NOT_THERE:
                return None
            demand_good(answer, "read", path)
            return answer.read(limit + 1)
        finally:
            answer.close()

    def save(self, path: str, place: Path) -> bool:
        """Write what is at an address to a file; return whether anything is there."""
        answer = self._ask("GET", path)
        try:
            if answer.status == NOT_THERE:
                return False
            demand_good(answer, "read", path)
            with open_atomic(place) as stream:
                while data := answer.read(PIECE_BYTES):
                    if stream.tell() + len(data) > FILE_MAX_BYTES:
                        raise ImageError(f"cannot read {path}: it is larger than a release's file")
                    stream.write(data)
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(self.url, error) from error
        finally:
            answer.close()
        return True

    def has(self, sha256: str, size: int) -> bool:
        """Return whether the server has a file, whole."""
        answer = self._ask("HEAD", f"/api/store/sha256/{sha256}")
        answer.close()
        return answer.status == 200 and answer.headers.get("content-length") == str(size)

    def put_file(self, sha256: str, place: Path) -> None:
        """Send a file that the server lacks."""
        sending = Sending(place)
        with sending.stream:
            head = {"Content-Length": str(sending.size)}
            path = f"/api/store/sha256/{sha256}"
            self._write("PUT", path, body=sending, headers=head)

    def put(self, path: str, data: bytes, replaced: str | None = None) -> None:
        """Send a small file; `replaced` is the ETag of what it replaces, "" if nothing is there.

        Raises `OutdatedError` if something else is there.
        """
        self._write("PUT", path, body=data, headers=condition(replaced))

    def delete(self, path: str, replaced: str) -> None:
        """Remove what has this ETag."""
        self._write("DELETE", path, headers=condition(replaced))

    def _write(self, method: str, path: str, **how: Any) -> None:
        answer = self._ask(method, path, **how)
        try:
            demand_good(answer, "write", path)
        finally:
            answer.close()

    def _ask(self, method: str, path: str, headers: Any = None, **how: Any) -> Answer:
        head = {**(headers or {})}
        if self.token:
            head["Authorization"] = f"Bearer {self.token}"
        try:
            return self.pool.request(
                method,
                self.url + path,
                headers=head,
                preload_content=False,
                redirect=False,
                timeout=TIMEOUT,
                retries=RETRIES,
                **how,
            )
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(self.url, error) from error


def make_pool(url: str) -> urllib3.PoolManager:
    """Return the connections to a server, through the user's proxy if there is one."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ImageError(f"cannot use {url!r}: it is neither a folder nor http(s)://HOST")
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname):
        return urllib3.ProxyManager(proxy)
    return urllib3.PoolManager()


def condition(replaced: str | None) -> dict[str, str]:
    """Return the header that says what a request replaces."""
    if replaced is None:
        return {}
    return {"If-Match": replaced} if replaced else {"If-None-Match": "*"}


def demand_good(answer: Answer, what: str, path: str) -> None:
    """Raise `OutdatedError` or `ImageError` unless the answer is a success."""
    if 200 <= answer.status < 300:
        return
    detail, hint = read_problem(answer)
    message = f"cannot {what} {path}: the server answers {answer.status}: {detail}"
    if answer.status in (CONFLICT, CHANGED):
        raise OutdatedError(message, hint=hint)
    if answer.status in (401, 403):
        hint = HOW_TO_GET_ONE
    raise ImageError(message, hint=hint)


def read_problem(answer: Answer) -> tuple[str, str | None]:
    """Return what the server says of an error, and what to do."""
    try:
        value = json.loads(answer.read(ANSWER_MAX_BYTES))
        hint = value.get("hint")
        return str(value["detail"])[:500], None if hint is None else str(hint)[:500]
    except (ValueError, KeyError, TypeError, AttributeError, urllib3.exceptions.HTTPError):
        return "no reason is given", "is this the address of a bootstrap server?"


def unreachable(url: str, error: Exception) -> ImageError:
    """Return the error of a server that does not answer."""
    reason = getattr(error, "reason", None) or error
    return ImageError(f"cannot reach {url}: {reason}", hint="what was sent is kept; run it again")


def read_token(path: Path | None) -> str:
    """Return the token in a file, else the one of the environment, else ""."""
    try:
        text = path.read_text() if path else os.environ.get("ZOS_TOKEN", "")
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"cannot read the token in {path}: {error}") from error
    token = text.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ImageError("cannot use the token: it is not one word of ASCII characters")
    return token
