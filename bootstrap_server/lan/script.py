"""The farm's script: the bootstrap server's own, as it is or with a mirror's addresses in it."""

import hashlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bootstrap_server.lan.addresses import HUB
from bootstrap_server.lan.interface import LanError
from common.errors import ZosError
from common.files import write_atomic
from serving.mirror.upstream import Upstream, UpstreamError, read_body, read_size

SCRIPT_MAX_BYTES = 1 << 16
FRESH_S = 5.0
"""For so long the server is not asked again, so ten machines at once are one request."""
_HUB = re.compile(r"(?<!\S)hub=(https?://[^\s$]+)")  # one, or several with commas
_BOOTSTRAP = re.compile(r"(?<!\S)bootstrap=(https?://[^\s$]+)")
_KERNEL = re.compile(r"(?<!\S)(https?://[^\s$]+?)/kernel/")
_URL_GOES_ON = r"(?![A-Za-z0-9.:~_-])"


class FarmScript:
    """The script at `path` of the server. With `kept`, a file, it outlives the server's absence."""

    def __init__(
        self, server: Upstream, path: str, kept: Path | None, warn: Callable[[str], None]
    ) -> None:
        self.server = server
        self.path = path
        self.kept = kept
        self.warn = warn
        self._text = ""
        self._asked = 0.0
        self._lock = threading.Lock()

    def get(self) -> str:
        """Return the script: the server's, or the last one while the server does not answer.

        Raises `LanError` if there is none.
        """
        with self._lock:
            if not self._text or time.monotonic() - self._asked > FRESH_S:
                self._ask()
                self._asked = time.monotonic()
            return self._text

    def _ask(self) -> None:
        try:
            text = self._fetch()
        except UpstreamError as error:
            self._text = self._text or self._read_kept()
            if not self._text or not error.is_away:
                raise LanError(
                    f"cannot get the farm's script: {error}",
                    hint="is --server right, and does this machine reach it?",
                ) from error
            self.warn(f"{error}; machines get the script of before")
            return
        if text != self._text and self.kept:
            write_atomic(self.kept, text.encode())
        self._text = text

    def _fetch(self) -> str:
        with self.server.open(self.path) as response:
            size = read_size(response)
            if size > SCRIPT_MAX_BYTES:
                raise UpstreamError(f"{self.server.url}{self.path} is too long for a script", 413)
            data = b"".join(read_body(response, size))
        if not data.startswith(b"#!ipxe\n") or not data.isascii():
            raise UpstreamError(f"{self.server.url}{self.path} is not a script of iPXE", 406)
        return data.decode("ascii")

    def _read_kept(self) -> str:
        try:
            return self.kept.read_text("ascii") if self.kept else ""
        except (OSError, UnicodeDecodeError):
            return ""


def keep_at(mirror: Path, server: str, path: str) -> Path:
    """Return where a mirror keeps the script of a server and path."""
    return mirror / f"script-{hashlib.sha256(f'{server}{path}'.encode()).hexdigest()[:16]}.ipxe"


def find_hubs(script: str) -> list[str]:
    """Return the URLs of a script's hubs. Raises `LanError` if it names none."""
    match = _HUB.search(script)
    if not match:
        raise LanError("cannot tell which hub the server's script uses", hint="--hub URL")
    return [url.rstrip("/") for url in match[1].split(",")]


def localise(script: str, server: str, mirror: str) -> str:
    """Return a script in which `mirror` takes the place of the bootstrap server, and is a hub.

    The script's own hubs come behind: nodes use them if the mirror fails. The server may call
    itself otherwise than `server`, the URL that this machine uses.
    """
    named = _BOOTSTRAP.search(script) or _KERNEL.search(script)
    public = named[1].rstrip("/") if named else server
    hubs = _HUB.search(script)
    text, servers = re.subn(re.escape(public) + _URL_GOES_ON, mirror, script)
    if not hubs or not servers:
        raise ZosError("cannot put the mirror into the server's script: it has another form")
    # By the command line's limit, both fit: a script has room for what a release may add.
    return _HUB.sub(lambda _: f"hub={mirror}{HUB},{hubs[1]}", text)
