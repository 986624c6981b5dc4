"""A flist that is named by its address, fetched while other things are done.

The connection that brought it is kept for the blocks: one that has carried much is far faster than
a new one, which TCP lets begin slowly.
"""

import threading
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from flist.errors import FlistError
from flist.http.urls import hide_secrets
from flist.store.http import HttpStore

MAX_BYTES = 1 << 30


class Downloaded(NamedTuple):
    """A flist and its signature (None: the server has none), and the connections that are left."""

    meta: Path
    signature: Path | None
    connections: list[HTTPConnection]


class Download:
    """A download that is under way in a thread of its own."""

    def __init__(self, url: str, folder: Path, *, is_signed: bool) -> None:
        self.url = url
        self.folder = folder
        self.is_signed = is_signed
        self.done: Downloaded | None = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        """Keep what comes, or why it does not."""
        try:
            self.done = download(self.url, self.folder, is_signed=self.is_signed)
        except BaseException as error:
            self.error = error

    def result(self) -> Downloaded:
        """Wait for it; raises `FlistError`."""
        self.thread.join()
        if self.done is None:
            assert self.error is not None
            raise self.error
        return self.done


def download(url: str, folder: Path, *, is_signed: bool = False) -> Downloaded:
    """Fetch the flist at `url` into a folder, and the signature beside it if there is one; raises
    `FlistError`."""
    address, question, query = url.partition("?")
    place, _, name = address.rpartition("/")
    server = HttpStore(place + question + query, max_bytes=MAX_BYTES)
    meta, signature = folder / "flist.fl", folder / "flist.fl.sig"
    status, body = server.ask("GET", name)
    shown = hide_secrets(url)
    if status != 200:
        raise FlistError(f"cannot fetch {shown}: the server answered {status}")
    if len(body) > MAX_BYTES:
        raise FlistError(f"cannot fetch {shown}: it has more than {MAX_BYTES} bytes")
    meta.write_bytes(body)
    if is_signed:
        status, body = server.ask("GET", f"{name}.sig")
        if status == 200:
            signature.write_bytes(body)
    connections, server.origin.idle = server.origin.idle, []
    server.close()
    return Downloaded(meta, signature if signature.exists() else None, connections)
