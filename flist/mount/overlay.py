"""A writable layer over a mounted flist: the kernel's overlayfs, changes in their own folder.

FOLDER/lower is the flist itself, FOLDER/upper has what was changed, FOLDER/work is the kernel's.
One mount at a time uses a folder: what two of them do to one upper layer is undefined. The flist's
mount and the overlay end together, whichever is taken off first.
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
from flist.mount.fuse.attach import KIND, detach

OVERLAY = "overlay"
FREE_WITHIN_S = 2.0
"""The last mount's processes may take a moment to end."""
POLL_S = 0.02
HINTS = {
    errno.EINVAL: "what the folder lies on may not do for changes; dmesg says more",
    errno.EPERM: "only root may mount an overlay",
}


class Overlay:
    """The layers in `folder`, to be mounted on `target`; both are resolved."""

    def __init__(self, folder: Path, target: Path) -> None:
        self.folder = folder
        self.target = target
        self.lower, self.upper, self.work = (folder / name for name in ("lower", "upper", "work"))
        self.error: FlistError | None = None  # why it could not be mounted
        self.is_over = False
        self.lock = threading.Lock()

    def start(self, ready: Callable[[], None]) -> None:
        """Mount it and call `ready`, in a thread: the kernel asks the flist's mount, which the
        caller is about to answer."""
        threading.Thread(target=self.run, args=(ready,), daemon=True).start()

    def run(self, ready: Callable[[], None]) -> None:
        """Mount it; end the flist's mount when it is gone, or can't be."""
        if self.mount():
            ready()
            self.wait_unmounted()
        detach(self.lower)

    def mount(self) -> bool:
        """Mount it, unless it is to be over already; return whether it is mounted."""
        with self.lock:
            if self.is_over:
                return False
            try:
                mounts.mount_overlay(self.lower, self.upper, self.work, self.target)
            except OSError as error:
                reason = f"cannot mount an overlay on {self.target}: {error.strerror}"
                self.error = FlistError(reason, hint=HINTS.get(error.errno or 0))
                return False
            return True

    def is_mounted(self, entry: mounts.MountEntry) -> bool:
        """Whether this is what is mounted there."""
        return entry.kind == OVERLAY and entry.option("upperdir") == str(self.upper)

    def wait_unmounted(self) -> None:
        """Return when the overlay is mounted nowhere."""
        with open("/proc/self/mountinfo", "rb") as stream:
            changes = select.poll()
            changes.register(stream, select.POLLPRI)
            while any(map(self.is_mounted, mounts.read_mounts())):
                changes.poll()  # also what came after it was opened (proc_pid_mountinfo(5))

    def unmount(self) -> None:
        """Take the overlay off, also when something in it is still open; it does not come back."""
        with self.lock:
            self.is_over = True
            here = [entry for entry in mounts.read_mounts() if entry.target == str(self.target)]
            if here and self.is_mounted(here[-1]):
                with contextlib.suppress(OSError):
                    mounts.unmount(self.target)


@contextlib.contextmanager
def open_overlay(folder: Path, target: Path) -> Iterator[Overlay]:
    """Make an overlay's folders, for this process alone while the block lasts."""
    overlay = Overlay(folder.resolve(), target.resolve())
    if any(sign in str(overlay.folder) for sign in ",:\\"):
        raise FlistError(f"cannot use {folder}: overlayfs takes no path with , : or \\")
    overlay.folder.mkdir(parents=True, exist_ok=True)
    handle = claim(overlay.folder)
    try:
        take_off_dead(overlay.lower)
        for place in (overlay.lower, overlay.upper, overlay.work):
            place.mkdir(exist_ok=True)
        yield overlay
    finally:
        overlay.unmount()
        os.close(handle)


def claim(folder: Path) -> int:
    """Lock a folder until the descriptor that is returned is closed."""
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


def take_off_dead(lower: Path) -> None:
    """Unmount what processes that were killed have left in a folder that is ours alone."""
    for entry in mounts.read_mounts():
        if entry.target == str(lower) and entry.kind == KIND:
            mounts.unmount(lower)
