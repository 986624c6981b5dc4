"""Reads files of a workload's root, whose owner may have put anything there."""

import os
import stat

from zinit.process import kernel
from zinit.process.spawn import read_regular

LOOK = os.O_PATH | os.O_CLOEXEC


def read_in_root(root: str, path: str, limit: int) -> bytes:
    """Return the content of the regular file `path` inside `root`; raises OSError.

    Links lead nowhere outside of the root. The file is looked at before it is opened, since opening
    a device can have effects.
    """
    fd = look_in_root(root, path)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(22, "Not a regular file", path)
        return read_regular(f"/proc/self/fd/{fd}", limit)
    finally:
        os.close(fd)


def find_status(root: str, path: str) -> os.stat_result:
    """Return the status of `path` inside `root`; raises OSError."""
    fd = look_in_root(root, path)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def look_in_root(root: str, path: str) -> int:
    """Return an O_PATH descriptor of `path` inside `root`; raises OSError."""
    top = os.open(root, LOOK | os.O_DIRECTORY)
    try:
        return kernel.open_in_root(top, path, LOOK)
    except OSError as error:
        if error.errno != kernel.ENOSYS:
            raise
        return open_by_steps(top, path)  # before Linux 5.6
    finally:
        os.close(top)


def open_by_steps(top: int, path: str) -> int:
    """Open `path` below the folder `top` without following any link; raises OSError."""
    fd = os.dup(top)
    for name in path.strip("/").split("/"):
        above = fd
        try:
            fd = os.open(name, LOOK | os.O_NOFOLLOW, dir_fd=above)
        finally:
            os.close(above)
    return fd
