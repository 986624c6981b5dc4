"""mount(2) and umount2(2), which Python's library lacks, and the table of mounts.

zinit has its own copy, since PID 1 imports no pathlib.
"""

import ctypes
import errno
import os
import re
from pathlib import Path
from typing import NamedTuple

MS_RDONLY, MS_NOSUID, MS_NODEV = 1, 2, 4
MS_BIND = 0x1000
MS_REC = 0x4000
MNT_DETACH = 2


class MountEntry(NamedTuple):
    """One mount: device number (major:minor), mount point, type, source, the options of its file
    system (super options) as the kernel writes them, its mount id, and that of its parent."""

    device: str
    target: str
    kind: str
    source: str
    options: str
    number: str = ""
    parent: str = ""

    def option(self, name: str) -> str:
        """Return the value of an option, or "" if it is absent."""
        found = (word for word in self.options.split(",") if word.startswith(f"{name}="))
        return unescape(next(found, "").partition("=")[2])


def read_mounts() -> list[MountEntry]:
    """Return the mounts that this process sees, oldest first (proc_pid_mountinfo(5))."""
    text = os.fsdecode(Path("/proc/self/mountinfo").read_bytes())
    entries = []
    for line in text.split("\n"):
        left, dash, right = line.partition(" - ")
        if dash:
            fields, (kind, source, options) = left.split(" "), right.split(" ", 2)
            number, parent, device, _, place = fields[:5]
            words = (device, unescape(place), kind, unescape(source), options)
            entries.append(MountEntry(*words, number, parent))
    return entries


def unescape(field: str) -> str:
    """Return a field with its octal escapes (blanks and backslashes) decoded."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def mount(source: str, target: Path, fstype: str, flags: int = 0, options: str = "") -> None:
    """Mount `source` on `target`; raise `OSError` naming the target."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = (os.fsencode(source), os.fsencode(target), fstype.encode())
    if libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(options)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def mount_overlay(lower: Path, upper: Path, work: Path, target: Path, flags: int = 0) -> None:
    """Mount an overlay of the writable `upper` (with its `work` folder) and `lower` on `target`."""
    layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
    mount("overlay", target, "overlay", flags, layers)


def unmount(target: Path) -> None:
    """Detach the mount on `target`, even if it is in use; no mount there is no error."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(target), MNT_DETACH) != 0:
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOENT):
            raise OSError(number, os.strerror(number), str(target))
