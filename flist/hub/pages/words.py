"""Numbers, times, types and modes in words."""

import os
import stat
from datetime import UTC, datetime

from flist.model import NS, Inode

UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
KINDS = {
    stat.S_IFDIR: "directory",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "link",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
}


def say_size(size: int) -> str:
    """Return a size in bytes for people, with three digits or so."""
    if size < 1024:
        return f"{size} B"
    value, unit = size / 1024, UNITS[0]
    for unit in UNITS:
        if value < 999.5 or unit == UNITS[-1]:
            break
        value /= 1024
    digits = 1 if value < 99.95 else 0
    return f"{value:.{digits}f}".removesuffix(".0") + f" {unit}"


def say_count(count: int, one: str, many: str = "") -> str:
    """Return a number of things: "1 file", "1,200 files"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def say_time(seconds: float) -> str:
    """Return a time since 1970 as a person reads it; one that no calendar has, as a number."""
    try:
        when = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return f"{seconds:.0f} s after 1970"
    return f"{when:%d %B %Y, %H:%M} UTC"


def say_short_time(time_ns: int) -> str:
    """Return a file's time with its date first, as lists have it."""
    try:
        when = datetime.fromtimestamp(time_ns // NS, UTC)
    except (OverflowError, OSError, ValueError):
        return "?"
    return f"{when:%Y-%m-%d %H:%M}"


def say_kind(mode: int) -> str:
    """Return the type of an entry."""
    return KINDS.get(stat.S_IFMT(mode), "unknown")


def say_mode(mode: int) -> str:
    """Return type and rights as `ls -l` shows them, and the rights in octal."""
    return f"{stat.filemode(mode)} {stat.S_IMODE(mode):04o}"


def say_extent(inode: Inode) -> str:
    """Return the size of a file, the numbers of a device, "" for others."""
    if inode.is_file:
        return say_size(inode.size)
    if stat.S_ISCHR(inode.mode) or stat.S_ISBLK(inode.mode):
        return f"{os.major(inode.rdev)}, {os.minor(inode.rdev)}"
    return ""
