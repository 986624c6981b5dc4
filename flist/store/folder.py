"""The `dir` store: blocks as files, `DIR/<first two hex digits>/<64 hex digits>`.

Reading falls back to `DIR/<64 hex digits>`, which older tools wrote. A file appears whole or not
at all (written beside, then renamed), and is on disk when `flush` has returned. Its time says when
somebody last relied on it: `gc` leaves young blocks, which a flist yet to be written may need.
"""

import contextlib
import ctypes
import errno
import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from common.errors import UsageError
from flist.errors import BlockMissingError, StoreError, StoreUnavailableError

YOUNG_S = 60.0
"""A block this young is not made young again: that costs a write."""


class FolderStore:
    """Blocks as files below `root`, which is made when the first block is put."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.root_text = str(root)
        self.made: set[str] = set()
        self.empty: set[str] = set()
        self.counter = itertools.count()

    def path(self, name: str) -> str:
        """Return where block `name` (hex) belongs."""
        return f"{self.root_text}/{name[:2]}/{name}"

    def get(self, block_id: bytes) -> bytes:
        """Return a block."""
        name = block_id.hex()
        try:
            try:
                return read_file(self.path(name))
            except FileNotFoundError:
                return read_file(f"{self.root_text}/{name}")
        except FileNotFoundError as error:
            reason = f"cannot read block {name}: it is not in {self.root}"
            raise BlockMissingError(reason) from error
        except OSError as error:
            raise refusal(error, f"cannot read block {name} in {self.root}") from error

    def get_range(self, block_id: bytes, start: int, length: int) -> bytes | None:
        """Return bytes of a block, fewer at its end; None if it is not in its place."""
        name = block_id.hex()
        try:
            handle = os.open(self.path(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refusal(error, f"cannot read block {name} in {self.root}") from error
        try:
            return os.pread(handle, length, start)
        except OSError as error:
            raise refusal(error, f"cannot read block {name} in {self.root}") from error
        finally:
            os.close(handle)

    def has(self, block_id: bytes) -> bool:
        """Whether the block is there; an empty file (of a power cut) is none."""
        return self.find(block_id) is not None

    def missing(self, block_ids: Sequence[bytes]) -> set[bytes]:
        """Return which blocks are not there. The others are relied on: they become young."""
        return {block_id for block_id in block_ids if not self.rely_on(block_id)}

    def rely_on(self, block_id: bytes) -> bool:
        """Whether the block is there, and now young."""
        found = self.find(block_id)
        return found is not None and renew(*found)

    def find(self, block_id: bytes) -> tuple[str, float] | None:
        """Return where a block is, and its time; None if it is not there."""
        name = block_id.hex()
        for place in (self.path(name), f"{self.root_text}/{name}"):
            try:
                status = os.stat(place)  # noqa: PTH116
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise refusal(error, f"cannot look for block {name} in {self.root}") from error
            if status.st_size > 0:
                return place, status.st_mtime
        return None

    def put(self, block_id: bytes, data: bytes) -> None:
        """Keep a block; one of the same size is already it, and becomes young."""
        name = block_id.hex()
        folder = f"{self.root_text}/{name[:2]}"
        path = f"{folder}/{name}"
        try:
            if name[:2] not in self.made:
                self.make(folder, name[:2])
            if name[:2] not in self.empty and is_kept(path, len(data)):
                return
            self.write(folder, path, data)
        except OSError as error:
            raise StoreError(f"cannot write block to {self.root}: {error.strerror}") from error

    def make(self, folder: str, name: str) -> None:
        """Make a folder, and note whether there was anything in it."""
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        self.made.add(name)
        with os.scandir(folder) as listing:
            if not any(listing):
                self.empty.add(name)  # nothing to look for before we write

    def write(self, folder: str, path: str, data: bytes) -> None:
        """Write a file beside `path`, then rename it."""
        # The number is never the same for two threads.
        scratch = f"{folder}/.{os.getpid()}-{id(self):x}-{next(self.counter)}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            handle = os.open(scratch, flags, 0o644)
            try:
                while data:
                    data = data[os.write(handle, data) :]
            finally:
                os.close(handle)
            os.rename(scratch, path)  # noqa: PTH104
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(scratch)  # noqa: PTH108
            raise

    def flush(self) -> None:
        """Write the file system that the blocks are on to its disk."""
        if not self.root.exists():
            return
        handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            ctypes.CDLL(None).syncfs(handle)
        finally:
            os.close(handle)

    def close(self) -> None:
        """Nothing is held open."""


def refusal(error: OSError, what: str) -> StoreError:
    """Return the error for what the system said; a want of rights does not pass by itself."""
    is_final = isinstance(error, (PermissionError, NotADirectoryError, IsADirectoryError))
    kind = StoreError if is_final else StoreUnavailableError
    return kind(f"{what}: {error.strerror}")


def is_kept(path: str, size: int) -> bool:
    """Whether there is a file of `size` bytes, and now young."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return False
    return status.st_size == size and renew(path, status.st_mtime)


def renew(path: str, modified_s: float) -> bool:
    """Make a block young, for whoever relies on it; false if it is gone, or another user's, whose
    collection would not know: then it is to be written anew."""
    if time.time() - modified_s < YOUNG_S:
        return True
    try:
        os.utime(path)
    except OSError as error:
        return error.errno == errno.EROFS  # then nobody can remove it, either
    return True


def read_file(path: str) -> bytes:
    """Return what a file holds (faster than a file object for many small ones)."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(handle).st_size
        data = os.read(handle, size)
        while len(data) < size and (more := os.read(handle, size - len(data))):
            data += more
        return data
    finally:
        os.close(handle)


def open_store(url: str) -> FolderStore:
    """Return the store at `dir:///absolute/path`."""
    parts = urlsplit(url)
    if parts.netloc or not parts.path.startswith("/"):
        raise UsageError(
            f"cannot open store {url!r}: the path is not absolute", hint="dir:///srv/blocks"
        )
    return FolderStore(Path(unquote(parts.path)))
