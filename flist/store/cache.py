"""The disk cache: encrypted blocks as files, with a size limit, shared by any number of mounts.

The layout is a `dir` store's, so a cache can be served, copied, or used with `--offline`. A file
appears whole or not at all. A damaged file fails the check of its tag when it is read; it is then
removed and fetched again. That shows damage, but who knows a flist knows its keys, too: a cache
where others may write is read with a check of each block's id. The least recently used blocks are
evicted first. What counts is the room that a file takes on the disk.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from flist.errors import BlockError, BlockMissingError, FlistError, StoreError
from flist.store.defaults import DEFAULT_LIMIT_BYTES
from flist.store.folder import FolderStore

RESCAN_PART = 16
"""The folder is measured again after every limit/16 bytes written: other mounts may write to it."""
EVICT_TO = 0.9
UNIT_BYTES = 4096
"""What a file takes of a disk is a multiple of this, nearly everywhere."""
TOUCH_AFTER_S = 30.0
"""A block that is read again after this time is marked again."""


class Entry(NamedTuple):
    """One cached file."""

    used_ns: int
    size: int
    path: str


class BlockCache:
    """Blocks on disk, at most about `limit_bytes` (more by 1/16 for each mount that shares it)."""

    def __init__(
        self,
        root: Path,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        check: Callable[[bytes, bytes], None] | None = None,
    ) -> None:
        self.root = root
        self.limit_bytes = limit_bytes
        self.check = check
        self.folder = FolderStore(root)
        self.lock = threading.Lock()
        self.written = limit_bytes  # so that the first write measures the folder
        self.arriving_bytes = 0
        self.touched: set[bytes] = set()
        self.touched_until = 0.0

    def prepare(self) -> None:
        """Make the folder; raises `FlistError` if other users can write to it."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            status = self.root.stat()
        except OSError as error:
            raise FlistError(f"cannot use cache {self.root}: {error.strerror}") from error
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise FlistError(
                f"cannot use cache {self.root}: others may write to it",
                hint="name a folder of your own with -c DIR",
            )

    def get(self, block_id: bytes) -> bytes | None:
        """Return a cached block, or None; with `check`, which raises `BlockError`, one that it
        accepts."""
        try:
            data = self.folder.get(block_id)
            if self.check:
                self.check(block_id, data)
        except (BlockMissingError, StoreError):
            return None
        except BlockError:
            self.remove(block_id)
            return None
        self.note_use(block_id)
        return data

    def get_range(self, block_id: bytes, start: int, length: int) -> bytes | None:
        """Return bytes of a cached block, unchecked, or None."""
        with contextlib.suppress(StoreError):
            data = self.folder.get_range(block_id, start, length)
            if data is not None:
                self.note_use(block_id)
            return data
        return None

    def note_use(self, block_id: bytes) -> None:
        """Mark a block as recently used, at most once every `TOUCH_AFTER_S` and between two looks
        for what to evict."""
        now = time.monotonic()
        if now > self.touched_until or len(self.touched) > 100_000:
            self.touched.clear()
            self.touched_until = now + TOUCH_AFTER_S
        if block_id in self.touched:
            return
        self.touched.add(block_id)
        with contextlib.suppress(OSError):
            os.utime(self.folder.path(block_id.hex()))

    def put(self, block_id: bytes, data: bytes) -> None:
        """Cache a checked block. A full or broken disk is ignored: it only costs speed."""
        size = -(-len(data) // UNIT_BYTES) * UNIT_BYTES
        if size > self.limit_bytes:
            return
        with self.lock:
            self.arriving_bytes += size
            self.written += size
            if self.written > self.limit_bytes // RESCAN_PART:
                self.written = size
                self.evict(self.arriving_bytes)
                self.touched.clear()
        try:
            with contextlib.suppress(StoreError, OSError):
                self.folder.put(block_id, data)
        finally:
            with self.lock:
                self.arriving_bytes -= size

    def remove(self, block_id: bytes) -> None:
        """Remove a damaged block."""
        with contextlib.suppress(OSError):
            Path(self.folder.path(block_id.hex())).unlink()

    def evict(self, arriving_bytes: int) -> None:
        """Remove the least recently used blocks until there is room for `arriving_bytes`."""
        with contextlib.suppress(OSError), self.exclusive() as is_ours:
            if not is_ours:
                return  # another mount evicts now
            entries = self.entries()
            total = sum(entry.size for entry in entries) + arriving_bytes
            if total <= self.limit_bytes:
                return
            entries.sort()
            for entry in entries:
                if total <= self.limit_bytes * EVICT_TO:
                    break
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()
                    total -= entry.size

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[bool]:
        """Hold the lock file during the `with` block; yields false if another process holds it."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)  # it may have been removed
        handle = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(handle)

    def entries(self) -> list[Entry]:
        """Return every file in the cache."""
        found = []
        for folder in os.scandir(self.root):
            if folder.is_dir(follow_symlinks=False):
                for item in os.scandir(folder):
                    with contextlib.suppress(FileNotFoundError):
                        status = item.stat(follow_symlinks=False)
                        size = max(status.st_size, 512 * status.st_blocks)
                        found.append(Entry(status.st_mtime_ns, size, item.path))
        return found
