"""A writable layer over a mounted flist: the kernel's overlayfs, with the changes in a folder.

FOLDER/lower is the mount point of the flist, FOLDER/upper holds the changes, FOLDER/work belongs to
the kernel. A folder serves one mount at a time: what two mounts do to one upper layer is undefined.
When the flist or the overlay is unmounted, the other one is unmounted, too.
"""

import contextlib
import errno
import fcntl
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from common import mounts
from flist.errors import FlistError
from flist.mount.attach import KIND, SAFE, detach

OVERLAY = "overlay"
FREE_WITHIN_S = 2.0
"""The processes of the last mount may take a moment to end."""
POLL_S = 0.02
HINTS = {
    errno.EINVAL: "the folder's file system may be unfit for an upper layer; see dmesg",
    errno.EPERM: "only root may mount an overlay",
}


class Overlay:
    """The layers in `folder`, to be mounted on `target`. Both paths are resolved. `flags` are
    those of its mount."""

    def __init__(self, folder: Path, target: Path, flags: int) -> None:
        self.flags = flags
        self.folder = folder
        self.target = target
        self.lower, self.upper, self.work = (folder / name for name in ("lower", "upper", "work"))
        self.layers = self.lower, self.upper, self.work
        self.error: FlistError | None = None  # why the overlay could not be mounted
        self.is_over = False
        self.lock = threading.Lock()

    def start(self, ready: Callable[[], None]) -> None:
        """Mount the overlay and call `ready`, in a thread: mounting it sends requests to the
        flist's mount, which the caller is about to serve."""
        threading.Thread(target=self.run, args=(ready,), daemon=True).start()

    def run(self, ready: Callable[[], None]) -> None:
        """Mount the overlay. Unmount the flist when the overlay is gone or cannot be mounted."""
        if self.mount():
            ready()
            self.wait_unmounted()
        detach(self.lower)

    def mount(self) -> bool:
        """Mount the overlay, unless `unmount` came first; return whether it is mounted."""
        with self.lock:
            if self.is_over:
                return False
            try:
                mounts.mount_overlay(*self.layers, self.target, self.flags)
            except OSError as error:
                reason = f"cannot mount an overlay on {self.target}: {error.strerror}"
                self.error = FlistError(reason, hint=HINTS.get(error.errno or 0))
                return False
            return True

    def is_mounted(self, entry: mounts.MountEntry) -> bool:
        """Return whether a mount is this overlay."""
        return entry.kind == OVERLAY and entry.option("upperdir") == str(self.upper)

    def wait_unmounted(self) -> None:
        """Return when the overlay is mounted nowhere."""
        with open("/proc/self/mountinfo", "rb") as stream:
            changes = select.poll()
            changes.register(stream, select.POLLPRI)
            while any(map(self.is_mounted, mounts.read_mounts())):
                changes.poll()  # returns at once if something changed since the open

    def unmount(self) -> None:
        """Unmount the overlay, even while files in it are open, or keep it from being mounted."""
        with self.lock:
            self.is_over = True
            here = [entry for entry in mounts.read_mounts() if entry.target == str(self.target)]
            if here and self.is_mounted(here[-1]):
                with contextlib.suppress(OSError):
                    mounts.unmount(self.target)


@contextlib.contextmanager
def open_overlay(folder: Path, target: Path, flags: int = SAFE) -> Iterator[Overlay]:
    """Make an overlay's folders and lock them for the block; raises `FlistError`."""
    overlay = Overlay(folder.resolve(), target.resolve(), flags)
    if any(sign in str(overlay.folder) for sign in ",:\\"):
        raise FlistError(f"cannot use {folder}: overlayfs does not support , : or \\ in a path")
    overlay.folder.mkdir(parents=True, exist_ok=True)
    handle = claim(overlay.folder)
    try:
        unmount_leftovers(overlay.lower)
        for place in (overlay.lower, overlay.upper, overlay.work):
            place.mkdir(exist_ok=True)
        yield overlay
    finally:
        overlay.unmount()
        os.close(handle)


def claim(folder: Path) -> int:
    """Lock a folder; return the descriptor that holds the lock until it is closed."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    deadline = time.monotonic() + FREE_WITHIN_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                os.close(handle)
                raise FlistError(
                    f"cannot use {folder}: another mount uses it", hint="name another --overlay"
                ) from error
            time.sleep(POLL_S)
        else:
            return handle


def unmount_leftovers(lower: Path) -> None:
    """Unmount flists that killed processes have left on the lower folder, which is locked."""
    for entry in mounts.read_mounts():
        if entry.target == str(lower) and entry.kind == KIND:
            mounts.unmount(lower)
