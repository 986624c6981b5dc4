"""A client of upstream's 0-hub and of our hub in the same interface."""

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from common.errors import UsageError
from flist.errors import FlistError, StoreError
from flist.http.client import NO_HEADERS, Client
from flist.http.patience import LONGEST_S

ME = "/api/flist/me"
ACTIVE_USER = "active-user"
ARCHIVE, FLISTS = ".tar.gz", (".flist", ".fl")
MAX_ANSWER_BYTES = 256 << 20
BUILD_S = 3600.0
"""How long a server may be silent while it makes a flist of an archive."""


class ZeroHubError(FlistError):
    """The hub refuses what was asked."""


class ZeroHubClient:
    """Talks to the hub of `http` with a token, in the repository of its account, or in that of
    `user`, a group that the account is a member of."""

    def __init__(self, http: Client, token: str = "", user: str = "") -> None:
        self.http = http
        self.secret = f"Bearer {token}" if token else ""
        self.headers = {"Cookie": f"{ACTIVE_USER}={user}"} if user else NO_HEADERS

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        kind: str = "",
        wait_s: float = LONGEST_S,
    ) -> Any:
        """Return the JSON of an answer. Raises `ZeroHubError` with the hub's own words."""
        headers = {**self.headers, **({"Content-Type": kind} if kind else {})}
        patience = self.http.be_patient(wait_s)
        status, data = self.http.ask(
            method, path, body, headers, secret=self.secret, patience=patience
        )
        try:
            said = json.loads(data)
        except (ValueError, RecursionError):
            said = None
        if status == 200 and said is not None:
            return said
        reason = said.get("message") or said.get("detail") if isinstance(said, dict) else None
        raise ZeroHubError(
            f"cannot do this on {self.http.url}: {reason or f'it answered {status}'}",
            hint="--token, or $ZFLIST_HUB_TOKEN" if status in (401, 403) else None,
        )

    def call(self, method: str, *words: str, body: bytes | None = None, kind: str = "") -> Any:
        """Return what the hub did below /api/flist/me; None if it tells nothing.

        Upstream's hub takes changes by GET only.
        """
        said = self.ask(method, "/".join((ME, *map(escape, words))), body, kind)
        if not isinstance(said, dict) or said.get("status") != "success":
            raise StoreError(f"cannot understand {self.http.url}: it is no 0-hub")
        return said.get("payload")

    def username(self) -> str:
        """Return in whose repository the token's owner acts."""
        payload = self.call("GET")
        return str(payload.get("username", "")) if isinstance(payload, dict) else ""

    def upload(self, path: Path) -> str:
        """Send an archive or a flist; return the name of the flist that it has become."""
        if not path.name.endswith((ARCHIVE, *FLISTS)):
            raise UsageError(f"cannot upload {path}", hint="a file that ends in .tar.gz or .flist")
        body, kind = encode_file(path)
        where = "upload" if path.name.endswith(ARCHIVE) else "upload-flist"
        said = self.ask("POST", f"{ME}/{where}", body, kind, BUILD_S)
        try:
            return str(said["payload"]["name"])
        except (KeyError, TypeError) as error:
            raise StoreError(f"cannot understand {self.http.url}: it is no 0-hub") from error

    def merge(self, name: str, sources: Sequence[str]) -> None:
        """Merge flists, each USER/FLIST, into one."""
        body = json.dumps(list(sources)).encode()
        self.call("POST", "merge", name, body=body, kind="application/json")

    def light(self, repo: str, name: str) -> dict[str, Any]:
        """Return size, time, type and MD5 of a flist, of a link also where it leads."""
        said = self.ask("GET", f"/api/flist/{escape(repo)}/{escape(name)}/light")
        return said if isinstance(said, dict) else {}

    def tag_link(self, repo: str, name: str) -> str:
        """Return where a tag link leads."""
        said = self.ask("GET", f"/api/flist/{escape(repo)}/{escape(name)}/taglink")
        return str(said.get("target", "")) if isinstance(said, dict) else ""


def escape(word: str) -> str:
    """Return one word of a path."""
    if word in (".", ".."):  # quoting leaves these as they are
        raise UsageError(f"cannot use {word!r} as a name")
    return quote(word, safe="")


def encode_file(path: Path) -> tuple[bytes, str]:
    """Return a form with a file, and its type."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot upload {path}: {error.strerror}") from error
    mark = secrets.token_hex(16)
    name = path.name.replace("\\", "_").replace('"', "_")
    head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
    body = head.encode(errors="replace") + b"\r\n" + data + f"\r\n--{mark}--\r\n".encode()
    return body, f"multipart/form-data; boundary={mark}"


def open_zerohub(url: str, token: str = "", user: str = "") -> ZeroHubClient:
    """Return a client of the hub at `url`."""
    return ZeroHubClient(Client(url, max_bytes=MAX_ANSWER_BYTES, timeout_s=BUILD_S), token, user)
