"""Sets the owner, mode, extended attributes and times of an entry, or compares them with the disk.

A place is an open file or directory, or for what cannot be opened a path of /proc that leads to it.
"""

import errno
import os
import stat
from typing import NamedTuple

from flist.model import NO_META, Inode, Meta
from flist.unpack.plan import Entry

DECIDED_XATTRS = (b"user.", b"trusted.", b"system.posix_acl_", b"security.capability")
"""Prefixes of the attributes that are removed if the flist does not have them. Others belong to
security modules and file systems."""
REFUSED = frozenset(
    (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL, errno.ERANGE, errno.E2BIG,
     errno.EOVERFLOW)
)  # fmt: skip
"""For want of a right, or of a place for it in the file system."""


class Rules(NamedTuple):
    """Whether owners are restored, and whether the target is clean: it was empty and has no
    attributes, such as an access list that new entries inherit."""

    is_owner_kept: bool
    is_clean: bool


def set_properties(place: int | bytes, entry: Entry, rules: Rules) -> list[str]:
    """Set all properties; return what could not be set.

    The order matters: a change of owner clears setuid bits and capabilities, a change of mode
    changes an inherited access list, and every change updates the times.
    """
    inode = entry.inode
    problems: list[str] = []
    if rules.is_owner_kept:
        try:
            os.chown(place, inode.uid, inode.gid)
        except OSError as error:
            note(problems, f"owner {inode.uid}:{inode.gid}", error)
    if not rules.is_clean:
        remove_xattrs(place, entry, problems)
    if not inode.is_link:
        mode = granted_mode(inode, place)
        if mode != stat.S_IMODE(inode.mode) and not problems:
            problems.append("setuid or setgid: it has another owner")
        try:
            os.chmod(place, mode)  # noqa: PTH101
        except OSError as error:
            note(problems, f"mode {mode:o}", error)
    set_xattrs(place, entry, problems)
    try:
        os.utime(place, ns=(inode.mtime_ns, inode.mtime_ns))
    except OSError as error:
        note(problems, "time", error)
    return problems


def note(problems: list[str], what: str, error: OSError) -> None:
    """Note what the user has not the right to set, or the file system cannot hold; raises any other
    `error`."""
    if error.errno not in REFUSED:
        raise error
    problems.append(f"{what}: {error.strerror}")


def is_set(place: int | bytes, entry: Entry, rules: Rules) -> bool:
    """Return whether a file or directory has the properties that `set_properties` would set."""
    inode = entry.inode
    status = find_status(place)
    return (
        stat.S_IFMT(status.st_mode) == stat.S_IFMT(inode.mode)
        and stat.S_IMODE(status.st_mode) == granted_mode(inode, status)
        and status.st_mtime_ns == inode.mtime_ns
        and (not rules.is_owner_kept or (status.st_uid, status.st_gid) == (inode.uid, inode.gid))
        and has_xattrs(place, entry)
    )


def find_status(place: int | bytes) -> os.stat_result:
    """Return the status of a place."""
    return os.fstat(place) if isinstance(place, int) else os.stat(place)  # noqa: PTH116


def granted_mode(inode: Inode, there: int | bytes | os.stat_result) -> int:
    """Return the permissions to set on a place. A program with another owner loses its setuid
    and setgid bits, which would grant the rights of the user who unpacks. On a directory they grant
    none."""
    mode = stat.S_IMODE(inode.mode)
    if not mode & (stat.S_ISUID | stat.S_ISGID) or inode.is_dir:
        return mode
    status = there if isinstance(there, os.stat_result) else find_status(there)
    if status.st_uid != inode.uid:
        mode &= ~stat.S_ISUID
    if status.st_gid != inode.gid:
        mode &= ~stat.S_ISGID
    return mode


def list_xattrs(place: int | bytes) -> list[str]:
    """Return the names of a place's extended attributes; none if its file system has none."""
    try:
        return os.listxattr(place)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


def find_foreign(place: int | bytes, meta: Meta = NO_META) -> list[str]:
    """Return the attributes of a place that `meta` does not have, of those in `DECIDED_XATTRS`."""
    wanted = {name for name, _ in meta.xattrs}
    names = [(name, os.fsencode(name)) for name in list_xattrs(place)]
    return [name for name, raw in names if raw not in wanted and raw.startswith(DECIDED_XATTRS)]


def remove_xattrs(place: int | bytes, entry: Entry, problems: list[str]) -> None:
    """Remove attributes that the flist does not have, inherited or of an older version."""
    for name in find_foreign(place, entry.meta):
        try:
            os.removexattr(place, name)
        except OSError as error:
            note(problems, name, error)


def set_xattrs(place: int | bytes, entry: Entry, problems: list[str]) -> None:
    """Set the attributes that the flist has."""
    for name, value in entry.meta.xattrs:
        try:
            os.setxattr(place, name, value)
        except OSError as error:
            note(problems, os.fsdecode(name), error)


def has_xattrs(place: int | bytes, entry: Entry) -> bool:
    """Return whether a place has the attributes that the flist has, and no foreign ones."""
    if find_foreign(place, entry.meta):
        return False
    try:
        return all(os.getxattr(place, name) == value for name, value in entry.meta.xattrs)
    except OSError:
        return False
