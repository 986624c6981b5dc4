"""Whole files in the block store, and copies of them on this machine.

A file is kept as pieces of 512 KiB, each a block named by its own hash, so servers with the same
store and database have all files in common. To send one, or to open it as a flist, a server makes a
copy in its cache, which it checks against the file's SHA-256.
"""

import contextlib
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection

from common.files import open_atomic, open_regular, sync_directory
from flist.blocks.codec import digest
from flist.errors import BlockError, StoreUnavailableError
from flist.hub.errors import AbsentError, TooLargeError
from flist.hub.state.blocks import Blocks
from flist.hub.state.objects import Objects
from flist.hub.state.viewer import Viewer
from serving.content import FileOpener, OpenFile

PIECE_BYTES = 1 << 19  # every store takes a block of this size
DRAFT_S = 86400.0
"""Nothing was written to a draft for so long: nobody writes it any more."""
USED_S = 60.0
"""A copy that was used so recently stays: somebody may be about to open it."""


@dataclass
class Draft:
    """A file that has arrived and is not kept yet. Its user calls `discard` in the end."""

    path: Path
    digest: str
    size: int
    pieces: Sequence[bytes] = field(default=())

    def discard(self) -> None:
        """Remove the file; nothing happens if it has become the cached copy."""
        self.path.unlink(missing_ok=True)


class Contents:
    """The files of a hub. `folder` is this server's own, for arriving files and copies."""

    def __init__(self, blocks: Blocks, objects: Objects, folder: Path, limit_bytes: int) -> None:
        self.blocks = blocks
        self.objects = objects
        self.arriving = folder / "tmp"
        self.cache = folder / "cache"
        self.limit_bytes = limit_bytes
        self.opener = FileOpener()
        self.lock = threading.Lock()
        self.fetching: dict[str, threading.Lock] = {}

    # -- arriving --------------------------------------------------------------------------------

    def receive(self, pieces: Iterable[bytes], limit: int | None = None) -> Draft:
        """Return what arrives in `pieces` as a file. Raises `TooLargeError` beyond the limit."""
        with self.arrival() as (stream, path):
            total, size = hashlib.sha256(), 0
            for piece in pieces:
                size += len(piece)
                if limit is not None and size > limit:
                    raise TooLargeError(f"more than {limit} bytes")
                total.update(piece)
                stream.write(piece)
        return Draft(path, total.hexdigest(), size)

    @contextlib.contextmanager
    def arrival(self) -> Iterator[tuple[BinaryIO, Path]]:
        """Open a file for something that arrives; it is removed if the block raises."""
        self.arriving.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{os.getpid()}-", dir=self.arriving)
        path = Path(name)
        try:
            with os.fdopen(handle, "w+b") as stream:
                yield stream, path
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def adopt(self, path: Path) -> Draft:
        """Return a draft of a file that is in the folder of arriving files already."""
        total = hashlib.sha256()
        with open_regular(path) as stream:
            while piece := stream.read(PIECE_BYTES):
                total.update(piece)
        return Draft(path, total.hexdigest(), path.stat().st_size)

    def send(self, viewer: Viewer, draft: Draft, *, is_open: bool = False) -> None:
        """Put the pieces of a draft into the store; outside of any transaction."""
        pieces = []
        with open_regular(draft.path) as stream:
            while piece := stream.read(PIECE_BYTES):
                block_id = digest(piece)
                self.blocks.put(viewer, block_id, piece, is_open=is_open)
                pieces.append(block_id)
        self.blocks.flush()
        draft.pieces = tuple(pieces)

    def keep(
        self,
        viewer: Viewer,
        connection: Connection,
        draft: Draft,
        format: str,  # noqa: A002
        uses: Iterable[bytes] = (),
    ) -> None:
        """Record a draft that was sent; it needs the blocks `uses`, too. Raises `AbsentError` if
        one of its pieces has gone meanwhile."""
        del viewer
        if self.blocks.rely_on(connection, draft.pieces):
            raise StoreUnavailableError("cannot keep a file: a piece of it was removed")
        self.objects.record(connection, draft.digest, draft.size, format, draft.pieces, uses)

    def cache_draft(self, draft: Draft) -> None:
        """Make a draft the cached copy of what it has become: saves fetching it."""
        place = self.place(draft.digest)
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            draft.path.chmod(0o644)
            draft.path.replace(place)
        self.evict()

    # -- reading ---------------------------------------------------------------------------------

    def place(self, name: str) -> Path:
        """Return where the copy of an object is, or would be."""
        return self.cache / name[:2] / name

    def path(self, name: str) -> Path:
        """Return the path of a whole, checked copy of an object.

        It stays for at least a minute. Raises `AbsentError`, `StoreError`, `BlockError`.
        """
        place = self.place(name)
        with self.single(name):
            if not self.is_fresh(place):
                self.fetch(name, place)
        return place

    def open(self, name: str) -> OpenFile:
        """Return an object to send; its ETag is its digest."""
        return self.opener.open(self.path(name), f'"{name}"')

    @contextlib.contextmanager
    def single(self, name: str) -> Iterator[None]:
        """Let one thread at a time fetch an object."""
        with self.lock:
            mine = self.fetching.setdefault(name, threading.Lock())
        try:
            with mine:
                yield
        finally:
            with self.lock:
                if not mine.locked():
                    self.fetching.pop(name, None)

    def is_fresh(self, place: Path) -> bool:
        """Return whether the copy is there, and note that it is used."""
        try:
            status = place.stat()
            if time.time() - status.st_mtime > USED_S:
                os.utime(place)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def fetch(self, name: str, place: Path) -> None:
        """Put the pieces of an object together."""
        found = self.objects.find(name)
        if found is None:
            raise AbsentError("there is no such file")
        place.parent.mkdir(parents=True, exist_ok=True)
        total = hashlib.sha256()
        with open_atomic(place) as stream:
            for block_id in self.objects.pieces(name):
                piece = self.blocks.get(block_id)
                total.update(piece)
                stream.write(piece)
            if total.hexdigest() != name:
                raise BlockError(f"the pieces of {name} are not those that were uploaded")
        self.evict()

    def evict(self) -> None:
        """Remove the copies that were used longest ago, as far as they are too many."""
        found = []
        for path in self.cache.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in found)
        limit_s = time.time() - USED_S
        for used_s, size, path in sorted(found):
            if total <= self.limit_bytes or used_s > limit_s:
                return
            path.unlink(missing_ok=True)
            total -= size

    def forget_drafts(self) -> None:
        """Remove what a server that was killed has left of arriving files."""
        limit_s = time.time() - DRAFT_S
        for path in self.arriving.glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < limit_s:
                    path.unlink()

    def prepare(self) -> None:
        """Make the folders."""
        for folder in (self.arriving, self.cache):
            folder.mkdir(parents=True, exist_ok=True)
        sync_directory(self.cache.parent)
