"""What a mirror has on disk: files by the SHA-256 of their content, and a table of addresses.

    content/<hh>/<SHA-256>   complete and verified, or not there
    new/                     what is being downloaded
    table.sqlite             which address has which content

A file gets its name when it is complete and on disk; the table's row comes after it. So a crash can
only leave files without a row, which the next start removes. The least recently used addresses go
when the files have more bytes than allowed. Threads may share one shelf.
"""

import contextlib
import fcntl
import hashlib
import io
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from common.errors import ZosError
from common.files import sync_directory

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    path TEXT PRIMARY KEY, sha256 TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    media_type TEXT NOT NULL, checked REAL NOT NULL, used REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS by_content ON answers (sha256);
CREATE INDEX IF NOT EXISTS by_use ON answers (used);
"""
_COLUMNS = "path, sha256, size, etag, media_type, checked"


class MirrorError(ZosError):
    """The mirror's folder cannot be used."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The content of an address; `checked` is when the upstream last said that it is current."""

    path: str
    sha256: str
    size: int
    etag: str
    media_type: str
    checked: float


class Shelf:
    """The folder `top`, from `open` (or `with`) until `close`; one process has it at a time."""

    def __init__(self, top: Path, limit_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self.top = top
        self.limit_bytes = limit_bytes
        self.clock = clock
        self.total_bytes = 0
        self._used: dict[str, float] = {}  # newer than the table's
        self._verified: set[str] = set()
        self._lock = threading.RLock()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Shelf":
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Take the folder, and remove what a crash left in it."""
        with contextlib.ExitStack() as stack:
            self._take(stack)
            self._table = sqlite3.connect(
                self.top / "table.sqlite", check_same_thread=False, isolation_level=None
            )
            stack.callback(self._table.close)
            try:
                self._table.execute("PRAGMA journal_mode = WAL")
                self._table.execute("PRAGMA synchronous = NORMAL")
                self._table.executescript(_SCHEMA)
                self._tidy()
            except sqlite3.DatabaseError as error:
                raise MirrorError(
                    f"cannot use the mirror {self.top}: {error}",
                    hint="remove the folder: all that is in it can be downloaded again",
                ) from error
            self._stack = stack.pop_all()

    def _take(self, stack: contextlib.ExitStack) -> None:
        for name in ("content", "new"):
            (self.top / name).mkdir(parents=True, exist_ok=True)
        guard = stack.enter_context((self.top / "lock").open("a"))
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MirrorError(
                f"cannot use the mirror {self.top}: another process does", hint="end it first"
            ) from error

    def _tidy(self) -> None:
        """Remove files that no row names, and count the others."""
        for path in (self.top / "new").iterdir():
            path.unlink()
        rows = self._table.execute("SELECT DISTINCT sha256, size FROM answers").fetchall()
        sizes: dict[str, int] = dict(rows)
        for path in (self.top / "content").glob("*/*"):
            if path.name not in sizes:
                path.unlink()
        self.total_bytes = sum(sizes.values())
        self._make_room()

    def close(self) -> None:
        """Write down what was used, and let the folder go; safe to call twice."""
        with self._lock, self._stack:
            if self._used:
                self._note_use()

    def place(self, sha256: str) -> Path:
        """Return where the content with this digest is."""
        return self.top / "content" / sha256[:2] / sha256

    def find(self, path: str) -> Kept | None:
        """Return what is kept of an address. It counts as used."""
        with self._lock:
            query = f"SELECT {_COLUMNS} FROM answers WHERE path = ?"  # noqa: S608 - constants
            row = self._table.execute(query, [path]).fetchone()
            if row is None:
                return None
            self._used[path] = self.clock()
            return Kept(*row)

    def is_whole(self, kept: Kept) -> bool:
        """Return whether the content is there and undamaged; its first call reads it through.

        A damaged one is dropped.
        """
        if kept.sha256 in self._verified:
            return True
        try:
            with open(self.place(kept.sha256), "rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            found = ""
        if found == kept.sha256:
            self._verified.add(found)
            return True
        with self._lock:
            self._drop_content(kept.sha256)
        return False

    @contextlib.contextmanager
    def writing(self) -> Iterator[io.FileIO]:
        """Yield a new file; it is removed after the block unless `add` has taken it."""
        handle, name = tempfile.mkstemp(dir=self.top / "new")
        try:
            with open(name, "wb", buffering=0, opener=lambda *_: handle) as stream:
                yield stream
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()

    def add(self, kept: Kept, new: Path) -> None:
        """Keep a complete and verified file as the content of an address."""
        target = self.place(kept.sha256)
        with open(new, "rb") as stream:
            os.fsync(stream.fileno())
        with self._lock:
            target.parent.mkdir(exist_ok=True)
            is_new = not self._is_named(kept.sha256)
            new.replace(target)
            sync_directory(target.parent)
            self._verified.add(kept.sha256)
            self.remove(kept.path, but=kept.sha256)
            row = (kept.path, kept.sha256, kept.size, kept.etag, kept.media_type)
            values = (*row, kept.checked, self.clock())
            self._table.execute("REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            self.total_bytes += kept.size if is_new else 0
            self._make_room()

    def confirm(self, path: str, now: float) -> None:
        """Note that the upstream said that what is kept of an address is current."""
        with self._lock:
            self._table.execute("UPDATE answers SET checked = ? WHERE path = ?", [now, path])

    def remove(self, path: str, but: str = "") -> None:
        """Forget an address, unless its content is `but`."""
        with self._lock:
            query = "DELETE FROM answers WHERE path = ? AND sha256 != ? RETURNING sha256, size"
            rows = self._table.execute(query, [path, but]).fetchall()
            self._used.pop(path, None)
            for sha256, size in rows:
                if not self._is_named(sha256):
                    self._unlink(sha256, size)

    def _drop_content(self, sha256: str) -> None:
        """Forget every address with a content."""
        query = "DELETE FROM answers WHERE sha256 = ? RETURNING size"
        rows = self._table.execute(query, [sha256]).fetchall()
        if rows:
            self._unlink(sha256, rows[0][0])

    def _unlink(self, sha256: str, size: int) -> None:
        self._verified.discard(sha256)
        self.total_bytes -= size
        with contextlib.suppress(FileNotFoundError):
            self.place(sha256).unlink()

    def _is_named(self, sha256: str) -> bool:
        query = "SELECT 1 FROM answers WHERE sha256 = ? LIMIT 1"
        return self._table.execute(query, [sha256]).fetchone() is not None

    def _note_use(self) -> None:
        rows = [(used, path) for path, used in self._used.items()]
        self._table.execute("BEGIN")
        self._table.executemany("UPDATE answers SET used = ? WHERE path = ?", rows)
        self._table.execute("COMMIT")
        self._used.clear()

    def _make_room(self) -> None:
        """Remove the least recently used addresses until the limit is kept."""
        if self.total_bytes <= self.limit_bytes:
            return
        self._note_use()
        while self.total_bytes > self.limit_bytes:
            query = "SELECT path FROM answers ORDER BY used LIMIT 100"
            rows = self._table.execute(query).fetchall()
            for (path,) in rows:
                self.remove(path)
                if self.total_bytes <= self.limit_bytes:
                    return
            if not rows:
                return
