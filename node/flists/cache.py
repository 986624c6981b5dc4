"""The cache on a disk of the farmer: flists, their blocks and files of the channel, over restarts.

    zero-os/blocks/           blocks, as `flist mount --cache` keeps them
    zero-os/flists/HEX.fl     flists by digest
    zero-os/kept/NAME.json    small files: signatures, and what a channel was verified with

Whatever lies on the disk may be an enemy's. Nothing is used before it is verified as if it had come
from the network; links are not followed and devices not opened, by the flags of the mount and of
each open. The disk may be full, damaged, or pulled: then the node goes on without it.
"""

import contextlib
import hashlib
import json
import math
import os
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from common.files import open_atomic
from node.flists.model import Flist

T = TypeVar("T")

SHARE = 0.8  # of the disk, that blocks may take
FLISTS_SHARE = 1 / 16
FLISTS_MAX = 16
KEPT_MAX_BYTES = 24 << 20
NEARLY_FULL_BYTES = 8 << 20
CHUNK_BYTES = 1 << 20
LOOK_S = 60.0
WITHIN_S = 60.0  # a disk that sleeps, or copies a large flist, takes some
SILENT = "it does not answer"
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Room:
    """What a look at the disk has found: bytes, and what is wrong, if anything."""

    size: int = 0
    used: int = 0
    fault: str = ""


class DiskCache:
    """The cache on the file system that is mounted on `mount_point`."""

    def __init__(self, mount_point: Path, device: Path) -> None:
        self.mount_point = mount_point
        self.device = device
        self.top = mount_point / "zero-os"
        self.blocks = self.top / "blocks"
        self.room = Room()
        self.pending: dict[object, float] = {}  # what the disk is asked for, and since when

    def open(self) -> None:
        """Make the folders. Raises `OSError` if the disk can't be used even for reading."""
        for name in ("", "blocks", "flists", "kept"):
            with self.folder(name) as handle, contextlib.suppress(OSError):
                os.fchown(handle, 0, 0)
                os.fchmod(handle, 0o700)
        status = self.blocks.stat()
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise PermissionError(1, "others may write to it", str(self.blocks))
        self.look()

    @contextlib.contextmanager
    def folder(self, name: str) -> Iterator[int]:
        """Open a folder of the cache without following links; make it if it is missing."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self.mount_point, flags)
        try:
            for part in (self.top.name, name):
                if part:
                    with contextlib.suppress(FileExistsError):
                        if not is_there(part, handle):
                            os.mkdir(part, 0o700, dir_fd=handle)
                    inner = os.open(part, flags, dir_fd=handle)
                    os.close(handle)
                    handle = inner
            yield handle
        finally:
            os.close(handle)

    def ask(self, work: Callable[[], T], otherwise: T) -> T:
        """Return what `work` finds on the disk; `otherwise` if the disk does not answer in time.

        A process that waits for a broken disk can't be ended, so a thread waits in our place.
        """
        found: list[T] = []

        def run() -> None:
            with self.noted():
                found.append(work())

        if self.is_hanging():
            return otherwise
        thread = threading.Thread(target=run, name="cache", daemon=True)
        thread.start()
        thread.join(WITHIN_S)
        return found[0] if found else otherwise

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Note that the disk is asked for something meanwhile."""
        mark = object()
        self.pending[mark] = time.monotonic()
        try:
            yield
        finally:
            del self.pending[mark]

    def is_hanging(self) -> bool:
        """Return whether the disk does not answer."""
        return time.monotonic() >= min(list(self.pending.values()), default=math.inf) + WITHIN_S

    def block_bytes(self) -> int:
        """Return how many bytes of blocks there may be."""
        return int(self.room.size * SHARE)

    def take_flist(self, sha256: str, limit: int, target: Path) -> bool:
        """Copy the flist with this digest, of at most `limit` bytes, to `target`; return whether it
        is here and undamaged."""
        draft = target.with_name(f"{target.name}.{uuid.uuid4().hex}")  # it may come too late
        is_good = self.ask(lambda: self.copy_flist(sha256, limit, draft), otherwise=False)
        if is_good:
            draft.replace(target)
        else:
            draft.unlink(missing_ok=True)
        return is_good

    def copy_flist(self, sha256: str, limit: int, target: Path) -> bool:
        """Do what `take_flist` does, however long it takes."""
        name = f"{sha256}.fl"
        with contextlib.suppress(OSError), self.folder("flists") as folder:
            with open_kept(name, folder, limit) as found:
                is_good = copy(found, target, limit) == sha256
            if is_good:
                os.utime(name, dir_fd=folder, follow_symlinks=False)  # it is used
                return True
            os.unlink(name, dir_fd=folder)
        return False

    def keep_flist(self, flist: Flist) -> None:
        """Keep a verified flist; the oldest ones make room. A disk that fails costs only speed."""
        limit = int(self.room.size * FLISTS_SHARE)
        size = flist.meta.stat().st_size
        name = f"{flist.sha256}.fl"
        with contextlib.suppress(OSError), self.folder("flists") as folder:
            if size > limit or is_there(name, folder):
                return
            make_room(folder, limit - size)
            with open(flist.meta, "rb") as source, write_kept(name, folder) as target:
                while chunk := source.read(CHUNK_BYTES):
                    target.write(chunk)

    def read(self, name: str) -> dict[str, object]:
        """Return what was kept under a name, {} if there is nothing; it is unverified."""
        return self.ask(lambda: self.read_kept(name), otherwise={})

    def read_kept(self, name: str) -> dict[str, object]:
        """Do what `read` does, however long it takes."""
        with (
            contextlib.suppress(OSError, ValueError, RecursionError),
            self.folder("kept") as folder,
            open_kept(f"{name}.json", folder, KEPT_MAX_BYTES) as found,
        ):
            value = json.loads(found.read(KEPT_MAX_BYTES))
            if isinstance(value, dict):
                return value
        return {}

    def write(self, name: str, value: Mapping[str, object]) -> None:
        """Keep something small under a name, if the disk takes it."""
        self.ask(lambda: self.write_kept(name, value), otherwise=None)

    def write_kept(self, name: str, value: Mapping[str, object]) -> None:
        """Do what `write` does, however long it takes."""
        with contextlib.suppress(OSError), self.folder("kept") as folder:
            with write_kept(f"{name}.json", folder) as target:
                target.write(json.dumps(value).encode())

    def watch(self) -> None:
        """Look at the disk now and then, in a thread: a broken one may not answer."""

        def work() -> None:
            while True:
                time.sleep(LOOK_S)
                self.look()

        threading.Thread(target=work, name="cache", daemon=True).start()

    def look(self) -> None:
        """Note how full the disk is, and whether it works."""
        try:
            with self.noted():
                found = os.statvfs(self.mount_point)
                size = found.f_blocks * found.f_frsize
                free = found.f_bavail * found.f_frsize
                self.room = Room(size, size - free, self.find_fault(free))
        except OSError as error:
            self.room = Room(self.room.size, self.room.used, f"it fails: {error.strerror}")

    def find_fault(self, free: int) -> str:
        """Return what keeps new blocks from being kept. Raises `OSError`."""
        if os.statvfs(self.mount_point).f_flag & os.ST_RDONLY:
            return "it is read-only, so nothing new is kept"
        if free < NEARLY_FULL_BYTES:
            return "it is full, so nothing new is kept"
        with self.folder("") as folder, write_kept("alive", folder) as target:
            target.write(b"%d\n" % time.time())
        return ""

    def fault(self) -> str:
        """Return what is wrong with the disk now, "" if nothing is."""
        return SILENT if self.is_hanging() else self.room.fault


def is_there(name: str, folder: int) -> bool:
    """Return whether an open folder has an entry of this name."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


@contextlib.contextmanager
def open_kept(name: str, folder: int, limit: int) -> Iterator[BinaryIO]:
    """Open a regular file of at most `limit` bytes. Raises `OSError`."""
    handle = os.open(name, READ, dir_fd=folder)
    with os.fdopen(handle, "rb") as stream:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            raise OSError(22, "not a file of the cache", name)
        yield stream


@contextlib.contextmanager
def write_kept(name: str, folder: int) -> Iterator[BinaryIO]:
    """Replace a file of an open folder when the block ends without exception."""
    draft = f".{name}.tmp"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft, dir_fd=folder)
    try:
        with os.fdopen(os.open(draft, CREATE, 0o600, dir_fd=folder), "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft, dir_fd=folder)
        raise


def copy(source: BinaryIO, target: Path, limit: int) -> str:
    """Copy at most `limit` bytes to a file in RAM; return their digest."""
    digest, left = hashlib.sha256(), limit
    with open_atomic(target, mode=0o600) as stream:
        while left > 0 and (chunk := source.read(min(CHUNK_BYTES, left))):
            digest.update(chunk)
            stream.write(chunk)
            left -= len(chunk)
    return digest.hexdigest()


def make_room(folder: int, limit: int) -> None:
    """Remove the oldest files until the others have at most `limit` bytes, and are not too many."""
    found = []
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            found.append((status.st_mtime, status.st_size, name))
    total = sum(size for _, size, _ in found)
    for count, (_, size, name) in enumerate(sorted(found)):
        if total <= limit and len(found) - count < FLISTS_MAX:
            return
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)
            total -= size
