"""mount(2) and umount2(2), which Python's library does not have.

zinit has its own: PID 1 imports no pathlib.
"""

import ctypes
import errno
import os
from pathlib import Path

MS_RDONLY = 1
MS_BIND = 0x1000
MS_REC = 0x4000
MNT_DETACH = 2


def mount(source: str, target: Path, fstype: str, flags: int = 0, options: str = "") -> None:
    """Mount `source` on `target`, or raise OSError naming the target."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = (os.fsencode(source), os.fsencode(target), fstype.encode())
    if libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(options)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def mount_overlay(lower: Path, upper: Path, work: Path, target: Path) -> None:
    """Mount a writable layer (`upper`, with `work` beside it) over `lower` on `target`."""
    layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
    mount("overlay", target, "overlay", options=layers)


def unmount(target: Path) -> None:
    """Detach what is mounted on `target`, also when it is in use; nothing there is no error."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(target), MNT_DETACH) != 0:
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOENT):
            raise OSError(number, os.strerror(number), str(target))
