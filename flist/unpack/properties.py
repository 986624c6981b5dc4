"""Owner, mode, extended attributes and times of an entry on disk: set, or compared with a flist."""

import errno
import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from flist.model import NO_META, Block, Inode, Meta

DECIDED_XATTRS = (b"user.", b"trusted.", b"system.posix_acl_", b"security.capability")
"""How the attributes begin that are removed where a flist does not have them. Others belong to
security modules and file systems."""
REFUSED = (errno.EPERM, errno.EACCES, errno.ENOTSUP)


class Restore(NamedTuple):
    """One entry and the place where it belongs."""

    path: bytes
    inode: Inode
    meta: Meta
    blocks: Sequence[Block] = ()


class Rules(NamedTuple):
    """Whether owners are restored, and whether the target is clean: it was empty, and has no
    attributes, an access list that goes over to what is made in it among them."""

    is_owner_kept: bool
    is_clean: bool


def set_properties(place: int | bytes, item: Restore, rules: Rules) -> list[str]:
    """Set everything, in the only order that keeps all of it: a change of owner drops setuid bits
    and capabilities, a mode changes an inherited access list, and every change moves the times.
    Return what could not be set."""
    inode = item.inode
    problems = set_owner(place, item) if rules.is_owner_kept else []
    if not rules.is_clean:
        problems += remove_xattrs(place, item)
    if not inode.is_link:
        mode = granted_mode(inode, place)
        if mode != stat.S_IMODE(inode.mode) and not problems:
            problems.append(f"{os.fsdecode(item.path)}: setuid or setgid: it has another owner")
        os.chmod(place, mode)  # noqa: PTH101
    problems += set_xattrs(place, item)
    times = inode.mtime_ns, inode.mtime_ns
    os.utime(place, ns=times, follow_symlinks=is_followed(place))
    return problems


def is_set(place: int | bytes, item: Restore, rules: Rules) -> bool:
    """Whether a file or directory on disk is as `set_properties` would make it."""
    inode = item.inode
    status = look_at(place)
    return (
        stat.S_IFMT(status.st_mode) == stat.S_IFMT(inode.mode)
        and stat.S_IMODE(status.st_mode) == granted_mode(inode, status)
        and status.st_mtime_ns == inode.mtime_ns
        and (not rules.is_owner_kept or (status.st_uid, status.st_gid) == (inode.uid, inode.gid))
        and has_xattrs(place, item)
    )


def look_at(place: int | bytes) -> os.stat_result:
    """Return the status of a place."""
    return os.fstat(place) if isinstance(place, int) else os.lstat(place)


def is_followed(place: int | bytes) -> bool:
    """Whether a call may follow links: not where a path might be one."""
    return not isinstance(place, bytes)


def set_owner(place: int | bytes, item: Restore) -> list[str]:
    """Set owner and group; return the complaint of who may not do that."""
    owner = item.inode.uid, item.inode.gid
    try:
        os.chown(place, *owner, follow_symlinks=is_followed(place))
    except PermissionError as error:
        return [f"{os.fsdecode(item.path)}: owner {owner[0]}:{owner[1]}: {error.strerror}"]
    return []


def granted_mode(inode: Inode, there: int | bytes | os.stat_result) -> int:
    """Return the permissions of an inode for what is at a place: without its owner, a program
    would lend out the rights of whoever unpacks. On a directory the bits lend nothing."""
    mode = stat.S_IMODE(inode.mode)
    if not mode & (stat.S_ISUID | stat.S_ISGID) or inode.is_dir:
        return mode
    status = there if isinstance(there, os.stat_result) else look_at(there)
    if status.st_uid != inode.uid:
        mode &= ~stat.S_ISUID
    if status.st_gid != inode.gid:
        mode &= ~stat.S_ISGID
    return mode


def list_xattrs(place: int | bytes) -> list[str]:
    """Return the names of a place's extended attributes; a file system may have none."""
    try:
        return os.listxattr(place, follow_symlinks=is_followed(place))
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


def find_foreign(place: int | bytes, meta: Meta = NO_META) -> list[str]:
    """Return the attributes of a place that `meta` does not have and a flist decides about."""
    wanted = {name for name, _ in meta.xattrs}
    names = [(name, os.fsencode(name)) for name in list_xattrs(place)]
    return [name for name, raw in names if raw not in wanted and raw.startswith(DECIDED_XATTRS)]


def remove_xattrs(place: int | bytes, item: Restore) -> list[str]:
    """Remove attributes that the flist does not have: inherited ones, or of an older version."""
    problems = []
    for name in find_foreign(place, item.meta):
        try:
            os.removexattr(place, name, follow_symlinks=is_followed(place))
        except OSError as error:
            if error.errno not in REFUSED:
                raise
            problems.append(complain(item, name, error))
    return problems


def set_xattrs(place: int | bytes, item: Restore) -> list[str]:
    """Set the attributes that the flist has; return the complaint of who may not do that."""
    problems = []
    for name, value in item.meta.xattrs:
        try:
            os.setxattr(place, name, value, follow_symlinks=is_followed(place))
        except OSError as error:
            if error.errno not in REFUSED:
                raise
            problems.append(complain(item, os.fsdecode(name), error))
    return problems


def complain(item: Restore, name: str, error: OSError) -> str:
    """Return what is said of an attribute."""
    return f"{os.fsdecode(item.path)}: {name}: {error.strerror}"


def has_xattrs(place: int | bytes, item: Restore) -> bool:
    """Whether a place has the attributes that the flist has, and no foreign ones."""
    if find_foreign(place, item.meta):
        return False
    try:
        return all(
            os.getxattr(place, name, follow_symlinks=is_followed(place)) == value
            for name, value in item.meta.xattrs
        )
    except OSError:
        return False
