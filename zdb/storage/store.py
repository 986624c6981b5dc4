"""All namespaces of one disk."""

import contextlib
import fcntl
import os
import secrets
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from common.files import read_regular, sync_directory
from zdb.errors import ZdbError
from zdb.format import namespace as descriptor
from zdb.format.data import HEADER
from zdb.format.namespace import Descriptor
from zdb.storage import replica
from zdb.storage.files import Disk, Handles, reason
from zdb.storage.loading import load
from zdb.storage.namespace import Namespace
from zdb.storage.settings import INTERVAL, StoreSettings
from zdb.storage.syncing import Syncer
from zdb.values import DEFAULT

DELETED = ".deleted-"  # a namespace's data folder, while the namespace is deleted
FLUSHED = ".flushed-"  # the same, while it is emptied
LOST = "lost+found"  # a folder of the file system, where a disk's top is used
OWN = ("zdb-", ".zdb-")  # files of ours
MAX_NAME = 200


class Store:
    """The namespaces in two folders, which one process may have at a time."""

    def __init__(
        self, data: Path, index: Path, settings: StoreSettings, disk: Disk | None = None
    ) -> None:
        self.data = data
        self.index = index
        self.settings = settings
        self.namespaces: dict[str, Namespace] = {}
        self.handles = Handles(disk or Disk())
        self.epoch = secrets.token_hex(8)  # of this opening
        self.version = 0  # counts namespaces made, deleted and loaded again
        self._syncer = Syncer()
        self._failed_syncs: list[Namespace] = []
        self._locks: list[int] = []
        self._touched: set[Namespace] = set()
        self._unsynced: set[Namespace] = set()  # at most those that have to be synced

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Lock the folders and open all namespaces; `default` is made if it is not there."""
        try:
            for folder in (self.data, self.index):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self.data.samefile(self.index):
                raise ZdbError(f"cannot use {self.data} for both data and index")
            for folder in (self.data, self.index):
                self._locks.append(lock(folder))
            replica.check(self.index, self.settings.is_replica)
            self._finish_removals()
            remove_halves(self.index)
            for folder in sorted(self.index.iterdir()):
                if is_name(folder.name) and folder.is_dir():
                    self.namespaces[folder.name] = self._open(folder.name)
            self._tell_strangers()
            if DEFAULT not in self.namespaces:
                self.create(DEFAULT)
        except BaseException:
            self.abandon()
            raise

    def close(self) -> None:
        """Commit, bring the index up to date and let go of the folders."""
        try:
            self.commit()
            for namespace in self.namespaces.values():
                namespace.try_checkpoint()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the folders as they are; what was not committed is lost."""
        self._syncer.close()
        self.handles.close()
        self.namespaces.clear()
        while self._locks:
            os.close(self._locks.pop())

    # Namespaces.

    def create(self, name: str) -> Namespace:
        """Make a namespace."""
        if name in self.namespaces or not is_name(name):
            raise ZdbError(f"cannot make namespace {name!r}: the name is taken or not allowed")
        if has_records(self.data / name):
            raise ZdbError(
                f"cannot make namespace {name}: {self.data / name} has data already",
                hint="stop the server; `zos zdb repair` makes a namespace of it, or move it away",
            )
        (self.data / name).mkdir(exist_ok=True, mode=0o700)
        (self.index / name).mkdir(exist_ok=True, mode=0o700)
        namespace = self._make(name)
        namespace.save()
        load(namespace)
        sync_directory(self.data)
        sync_directory(self.index)
        self.namespaces[name] = namespace
        self.version += 1
        return namespace

    def delete(self, name: str) -> None:
        """Delete a namespace with its files."""
        self._syncer.wait()
        namespace = self.namespaces.pop(name)
        namespace.close_files()
        self._touched.discard(namespace)
        self._unsynced.discard(namespace)
        self.version += 1
        (self.data / name).rename(self.data / f"{DELETED}{name}")
        self._finish_removals()

    def flush(self, name: str) -> None:
        """Delete all keys of a namespace; its settings stay. The object stays the same."""
        self._syncer.wait()
        namespace = self.namespaces[name]
        namespace.close_files()
        (self.data / name).rename(self.data / f"{FLUSHED}{name}")
        self._finish_removals()
        self._load_again(namespace)

    def reload(self, name: str) -> None:
        """Open the files of a namespace again, after they were changed from outside."""
        namespace = self.namespaces[name]
        namespace.commit(self.settings.clock())
        namespace.try_checkpoint()
        namespace.close_files()
        self._load_again(namespace)

    def set_mode(self, name: str, mode: str) -> None:
        """Change the mode of a namespace in which nothing was ever written."""
        namespace = self.namespaces[name]
        if not namespace.is_fresh:
            raise ZdbError(f"cannot change the mode of {name}: it is in use")
        namespace.mode = mode
        self.flush(name)

    def _make(self, name: str) -> Namespace:
        folders = self.data / name, self.index / name
        namespace = Namespace(name, *folders, self.settings, self.handles, self._syncer)
        namespace.touched = self._touched
        return namespace

    def _open(self, name: str) -> Namespace:
        namespace = self._make(name)
        remove_halves(self.index / name)
        path = self.index / name / descriptor.NAME
        try:
            namespace.descriptor = descriptor.unpack(read_regular(path), str(path))
        except FileNotFoundError:
            if name != DEFAULT and has_records(self.data / name):
                namespace.descriptor = closed(name)
                self.settings.log(f"{path} is missing: namespace {name} is closed until NSSET")
            namespace.save()
        (self.data / name).mkdir(exist_ok=True, mode=0o700)
        load(namespace)
        return namespace

    def _load_again(self, namespace: Namespace) -> None:
        namespace.start_over()
        load(namespace)
        self.version += 1

    def _finish_removals(self) -> None:
        """Go on with deletions that were begun; also with those that a crash has interrupted."""
        for folder in list(self.data.iterdir()):
            name = folder.name
            if name.startswith(DELETED):
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(self.index / name.removeprefix(DELETED))
                shutil.rmtree(folder)
            elif name.startswith(FLUSHED):
                namespace = name.removeprefix(FLUSHED)
                for file in (self.index / namespace).iterdir():
                    if file.name != descriptor.NAME:
                        file.unlink()
                (self.data / namespace).mkdir(exist_ok=True, mode=0o700)
                shutil.rmtree(folder)

    def _tell_strangers(self) -> None:
        for folder in sorted(self.data.iterdir()):
            if folder.is_dir() and folder.name not in (DEFAULT, LOST, *self.namespaces):
                self.settings.log(
                    f"{folder} belongs to no namespace: `zos zdb repair` makes one of it"
                )

    # To the disk.

    def commit(self) -> set[Namespace]:
        """Write what was changed in all namespaces; return those where that failed.

        What was asked of those since the last commit is undone, also if it was answered already.
        """
        now = self.settings.clock()
        failed = {space for space in self._touched if not space.commit(now)}
        self._unsynced |= self._touched
        self._touched.clear()
        while self._failed_syncs:
            self._unsynced.add(self._failed_syncs.pop())
        if self.settings.sync == INTERVAL and self._unsynced:
            self._sync_old(now)
        return failed

    def _sync_old(self, now: float) -> None:
        for namespace in list(self._unsynced):
            since = namespace.unsynced_since
            if since is None:
                self._unsynced.discard(namespace)
            elif not 0 <= now - since < self.settings.sync_s:
                self._sync_behind(namespace, now)

    def _sync_behind(self, namespace: Namespace, now: float) -> None:
        """Sync a namespace's data by the thread; after a failure it is tried again."""

        def failed(error: OSError | ZdbError) -> None:
            self.settings.log(f"namespace {namespace.name}: cannot sync: {reason(error)}")
            namespace.unsynced_since = now
            self._failed_syncs.append(namespace)  # the thread leaves the set alone

        namespace.unsynced_since = None
        try:
            handle = namespace.data.current.handle
            self._syncer.sync(handle, self.handles.disk.sync, failed)
        except (OSError, ZdbError) as error:
            failed(error)

    def next_sync(self) -> float | None:
        """Return in how many seconds `commit` has to be called even if nothing happens."""
        waiting = [
            space.unsynced_since for space in self._unsynced if space.unsynced_since is not None
        ]
        if not waiting:
            return None
        return max(0.0, min(waiting) + self.settings.sync_s - self.settings.clock())


def remove_halves(folder: Path) -> None:
    """Remove what a crash has left of files that are written whole or not at all."""
    for file in folder.glob(".zdb-*.tmp"):
        file.unlink()


def has_records(folder: Path) -> bool:
    """Return whether there is anything in the data files of a folder."""
    return folder.is_dir() and any(
        file.lstat().st_size > HEADER.size for file in folder.glob("d[0-9]*")
    )


def closed(name: str) -> Descriptor:
    """Return the settings of a namespace that has lost its own: nobody gets in."""
    return Descriptor(name, password=secrets.token_urlsafe(16).encode(), public=False)


def is_name(name: str) -> bool:
    """Return whether a namespace may have this name."""
    return (
        name not in ("", ".", "..", LOST)
        and "/" not in name
        and "\0" not in name
        and not name.startswith((DELETED, FLUSHED, *OWN))
        and len(os.fsencode(name)) <= MAX_NAME
    )


def lock(folder: Path) -> int:
    """Return the descriptor of a folder that no other process has locked."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if not isinstance(error, BlockingIOError):
            raise
        raise ZdbError(
            f"cannot use {folder}: another server has it",
            hint="give each server its own folders",
        ) from None
    return handle
