"""The `dir` store: blocks as files, `DIR/<first two hex digits>/<64 hex digits>`.

With `dir:///DIR?flat` new blocks are `DIR/<64 hex digits>`, as upstream's rfs 2.0.7 has them. Each
layout is read, whichever is written. A file appears whole or not
at all (written to a temporary name, then renamed), and is on disk when `flush` has returned. Its
modification time says when a writer last relied on it: `gc` leaves young blocks alone, because a
flist that is not written yet may need them.
"""

import contextlib
import ctypes
import errno
import itertools
import os
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from common.errors import UsageError
from flist.errors import BlockMissingError, StoreError, StoreUnavailableError
from flist.model import MAX_BLOCK_BYTES
from flist.store.base import BLOCK_NAME, Stored

FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe in a block's place is not waited for
YOUNG_S = 60.0
"""The time of a block this young is not renewed: that would cost a write."""


class FolderStore:
    """Blocks as files below `root`, which is made when the first block is put."""

    def __init__(self, root: Path, *, is_flat: bool = False) -> None:
        self.root = root
        self.is_flat = is_flat
        self.root_text = str(root)
        self.made: set[str] = set()
        self.empty: set[str] = set()
        self.counter = itertools.count()

    def folder(self, name: str) -> str:
        """Return the folder below `root` for block `name`, empty in the flat layout."""
        return "" if self.is_flat else name[:2]

    def path(self, name: str) -> str:
        """Return the path of block `name` (hex) as it is written here."""
        return f"{self.root_text}/{name}" if self.is_flat else f"{self.root_text}/{name[:2]}/{name}"

    def other_path(self, name: str) -> str:
        """Return the path of a block in the other layout."""
        return f"{self.root_text}/{name[:2]}/{name}" if self.is_flat else f"{self.root_text}/{name}"

    def get(self, block_id: bytes) -> bytes:
        """Return a block."""
        name = block_id.hex()
        try:
            try:
                return read_file(self.path(name))
            except FileNotFoundError:
                return read_file(self.other_path(name))
        except FileNotFoundError as error:
            reason = f"cannot read block {name}: it is not in {self.root}"
            raise BlockMissingError(reason) from error
        except OSError as error:
            raise refusal(error, f"cannot read block {name} in {self.root}") from error

    def get_range(self, block_id: bytes, start: int, length: int) -> bytes | None:
        """Return bytes of a block, fewer at its end; None if it is not there or in the other
        layout."""
        name = block_id.hex()
        try:
            handle = os.open(self.path(name), FLAGS)
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
        """Return whether the block is there; an empty file, left by a power cut, does not count."""
        return self.find(block_id) is not None

    def missing(self, block_ids: Sequence[bytes]) -> set[bytes]:
        """Return which blocks are not there. The time of the others is renewed."""
        return {block_id for block_id in block_ids if not self.rely_on(block_id)}

    def rely_on(self, block_id: bytes) -> bool:
        """Return whether the block is there, and renew its time."""
        found = self.find(block_id)
        return found is not None and renew(*found)

    def find(self, block_id: bytes) -> tuple[str, float] | None:
        """Return the path of a block and its modification time; None if it is not there."""
        name = block_id.hex()
        for place in (self.path(name), self.other_path(name)):
            try:
                status = os.stat(place)  # noqa: PTH116
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                if error.errno == errno.ELOOP:  # a link that leads nowhere
                    continue
                raise refusal(error, f"cannot look for block {name} in {self.root}") from error
            if status.st_size > 0 and stat.S_ISREG(status.st_mode):
                return place, status.st_mtime
        return None

    def remove(self, block_id: bytes) -> None:
        """Remove a block, in whichever layout it is."""
        name = block_id.hex()
        for place in (self.path(name), self.other_path(name)):
            try:
                os.unlink(place)  # noqa: PTH108
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise refusal(error, f"cannot remove block {name} in {self.root}") from error

    def stored(self) -> Iterator[Stored]:
        """Yield all blocks of both layouts."""
        try:
            for name in ("", *(f"{number:02x}" for number in range(256))):
                yield from list_folder(f"{self.root_text}/{name}")
        except OSError as error:
            raise refusal(error, f"cannot list {self.root}") from error

    def put(self, block_id: bytes, data: bytes) -> None:
        """Keep a block; if a file of the same size is there, only renew its time."""
        name = block_id.hex()
        short = self.folder(name)
        folder, path = f"{self.root_text}/{short}", self.path(name)
        try:
            if short not in self.made:
                self.make(folder, short)
            if short not in self.empty and is_kept(path, len(data)):
                return
            self.write(folder, path, data)
        except OSError as error:
            raise StoreError(f"cannot write block to {self.root}: {error.strerror}") from error

    def replace(self, block_id: bytes, data: bytes) -> None:
        """Keep a block, whatever is in its place."""
        name = block_id.hex()
        folder = f"{self.root_text}/{self.folder(name)}"
        try:
            self.make(folder, self.folder(name))
            self.write(folder, self.path(name), data)
        except OSError as error:
            raise StoreError(f"cannot write block to {self.root}: {error.strerror}") from error

    def make(self, folder: str, name: str) -> None:
        """Make a folder, and note whether it is empty."""
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        self.made.add(name)
        with os.scandir(folder) as listing:
            if not any(listing):
                self.empty.add(name)  # no need to look for a block before writing it

    def write(self, folder: str, path: str, data: bytes) -> None:
        """Write a temporary file beside `path`, then rename it."""
        # Two threads never get the same number.
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
        """Sync the file system that holds the blocks."""
        if not self.root.exists():
            return
        handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            ctypes.CDLL(None).syncfs(handle)
        finally:
            os.close(handle)

    def close(self) -> None:
        """Do nothing: no file is kept open."""


def list_folder(folder: str) -> Iterator[Stored]:
    """Yield the blocks that are files in one folder."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if BLOCK_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):  # removed a moment ago
                        status = entry.stat(follow_symlinks=False)
                        yield Stored(bytes.fromhex(entry.name), status.st_size, status.st_mtime)
    except (FileNotFoundError, NotADirectoryError):
        return


def refusal(error: OSError, what: str) -> StoreError:
    """Return the error for an `OSError`; missing permissions are not temporary."""
    is_final = isinstance(error, (PermissionError, NotADirectoryError, IsADirectoryError))
    kind = StoreError if is_final else StoreUnavailableError
    return kind(f"{what}: {error.strerror}")


def is_kept(path: str, size: int) -> bool:
    """Return whether there is a file of `size` bytes, and renew its time."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return False  # writing it will tell what is wrong
    is_whole = status.st_size == size and stat.S_ISREG(status.st_mode)
    return is_whole and renew(path, status.st_mtime)


def renew(path: str, modified_s: float) -> bool:
    """Set the time of a block to now, so that `gc` keeps it.

    Returns false if the block is gone or belongs to another user, whose `gc` would not know: then
    it must be written again.
    """
    if time.time() - modified_s < YOUNG_S:
        return True
    try:
        os.utime(path)
    except OSError as error:
        return error.errno == errno.EROFS  # then no `gc` can remove it, either
    return True


def read_file(path: str) -> bytes:
    """Return the content of a file (for many small files, faster than a file object)."""
    handle = os.open(path, FLAGS)
    try:
        size = os.fstat(handle).st_size
        if size > MAX_BLOCK_BYTES:  # no block: it could fill the memory
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
        data = os.read(handle, size)
        while len(data) < size and (more := os.read(handle, size - len(data))):
            data += more
        return data
    finally:
        os.close(handle)


def open_store(url: str) -> FolderStore:
    """Return the store at `dir:///absolute/path`, or `dir:///absolute/path?flat`."""
    parts = urlsplit(url)
    if parts.netloc or not parts.path.startswith("/"):
        raise UsageError(
            f"cannot open store {url!r}: the path is not absolute", hint="dir:///srv/blocks"
        )
    if parts.query not in ("", "flat"):
        raise UsageError(
            f"cannot open store {url!r}: ?{parts.query} is not known", hint="dir:///srv/blocks?flat"
        )
    return FolderStore(Path(unquote(parts.path)), is_flat=parts.query == "flat")
