"""Downloads a flist that is named by its URL, in a thread of its own.

The connection that carried the flist is kept for the blocks: TCP lets a new one start slowly.
"""

import threading
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from flist.errors import FlistError
from flist.http.client import SKIPPED_BYTES, Client
from flist.http.urls import hide_secrets, path_of, split_url

MAX_BYTES = 1 << 30


class FetchedFlist(NamedTuple):
    """The files of a flist and of its signature (None: the server has none), and the open
    connections that are left."""

    meta: Path
    signature: Path | None
    connections: list[HTTPConnection]


class FlistDownload:
    """A download that runs in the background from the start."""

    def __init__(self, url: str, folder: Path, *, is_signed: bool) -> None:
        self.url = url
        self.folder = folder
        self.is_signed = is_signed
        self.fetched: FetchedFlist | None = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        """Download, and keep the result or the error."""
        try:
            self.fetched = fetch_flist(self.url, self.folder, is_signed=self.is_signed)
        except BaseException as error:
            self.error = error

    def result(self) -> FetchedFlist:
        """Wait for the end; raises `FlistError`."""
        self.thread.join()
        if self.fetched is None:
            assert self.error is not None
            raise self.error
        return self.fetched


def fetch_flist(url: str, folder: Path, *, is_signed: bool = False) -> FetchedFlist:
    """Download the flist at `url` into a folder, with the signature beside it (`URL.sig`) if
    `is_signed` and there is one; raises `FlistError`."""
    parts = split_url(url)
    client = Client(url, max_bytes=MAX_BYTES)
    meta, signature = folder / "flist.fl", folder / "flist.fl.sig"
    try:
        status = fetch_file(client, path_of(parts), meta)
        if status != 200:
            raise FlistError(f"cannot fetch {hide_secrets(url)}: the server answered {status}")
        beside = path_of(parts._replace(path=f"{parts.path}.sig"))
        has_signature = is_signed and fetch_file(client, beside, signature) == 200
        connections = client.origin.take_all()
    finally:
        client.close()
    return FetchedFlist(meta, signature if has_signature else None, connections)


def fetch_file(client: Client, path: str, target: Path) -> int:
    """Download to `target` what is at `path`; return the status, and write nothing unless 200."""
    with client.open("GET", path) as response:
        if response.status != 200:
            response.read(SKIPPED_BYTES)  # so that the connection can be kept
            return response.status
        size = 0
        with target.open("wb") as stream:
            for piece in response.pieces():
                size += stream.write(piece)
                if size > MAX_BYTES:
                    raise FlistError(f"cannot fetch {path}: it has more than {MAX_BYTES} bytes")
    return 200
