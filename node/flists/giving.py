"""Opens the cache on the disk that the farmer gave, within a time: a broken disk may hang."""

import threading
from functools import partial
from pathlib import Path

from common.mounts import unmount
from node.flists.cache import SILENT, DiskCache
from node.flists.disks import BLOCK_DEVICES, find_disk, mount_disk
from node.flists.mounts import CACHE
from node.log import log as write_log
from node.problems import Problems

PART = "cache"
WITHIN_S = 30.0

log = partial(write_log, "bringup")


class Search:
    """Looks for the disk in a thread, meanwhile the node asks its channel."""

    def __init__(
        self,
        problems: Problems,
        mount_point: Path = CACHE,
        devices: Path = BLOCK_DEVICES,
    ) -> None:
        self.problems = problems
        self.devices = devices
        self.mount_point = mount_point
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.is_given_up = False
        self.cache: DiskCache | None = None
        self.reason = ""

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self.run, name="cache", daemon=True).start()

    def run(self) -> None:
        """Find, mount and open the disk; whatever fails is told, and the node has no such cache."""
        try:
            cache = self.open()
            with self.lock:
                if cache and self.is_given_up:
                    unmount(self.mount_point)
                elif cache:
                    self.cache = cache
                    cache.watch()
        except OSError as error:
            self.tell(f"cannot use the disk for the cache: {error}")
        finally:
            self.is_over.set()

    def open(self) -> DiskCache | None:
        """Return the cache, None if no disk is for it. Raises `OSError`."""
        self.mount_point.mkdir(parents=True, exist_ok=True, mode=0o700)
        unmount(self.mount_point)  # an earlier process may have left it
        disk = find_disk(self.mount_point, self.tell, self.devices)
        if disk is None:
            return None
        mount_disk(disk, self.mount_point)
        cache = DiskCache(self.mount_point, disk.device)
        try:
            cache.open()
        except OSError:
            unmount(self.mount_point)
            raise
        size, used = (count >> 20 for count in (cache.room.size, cache.room.used))
        log(f"cache on {disk.device.name} ({disk.file_system.kind}, {size} MiB, {used} used)")
        return cache

    def result(self) -> DiskCache | None:
        """Return the cache, None while its disk does not answer; one that can't be opened in time
        is done without until the next boot."""
        if not self.is_given_up and not self.is_over.wait(WITHIN_S):
            with self.lock:
                self.is_given_up = self.cache is None
        if self.is_given_up:
            self.tell(f"cannot use the disk for the cache: no answer within {WITHIN_S:g} s")
        cache = self.cache
        return None if cache and cache.is_hanging() else cache

    def fault(self) -> str:
        """Return why the disk that there is, or may be, can't be used, "" if it can or there is
        none. This asks no disk."""
        if cache := self.cache:
            return SILENT if cache.is_hanging() else ""
        if self.is_over.is_set() or self.is_given_up:
            return self.reason
        return "it is being looked for"

    def tell(self, text: str) -> None:
        """Note what is wrong for the status, and log it once."""
        self.reason = text
        if self.problems.note(PART, text):
            log(text)
