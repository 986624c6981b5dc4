"""Serves a mount through libfuse and mfusepy: a thin, portable adapter for hosts.

It cannot change the flist under a mount (`remount`), has no SEEK_HOLE, does not check access
control lists, and answers every read in the thread that libfuse chose.
"""

import contextlib
import errno
import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mfusepy

from common.mounts import MS_NODEV, MS_NOSUID
from flist.errors import FlistError
from flist.model import NAME_MAX_BYTES, Inode
from flist.mount.attach import SAFE, detach, refuse_unsafe
from flist.mount.failures import Failures
from flist.mount.fuse.wire import FUSE_TIMEOUT_S
from flist.mount.reader import Reader

END_WITHIN_S = 1.0


def coded(path: str) -> bytes:
    """Return a path as bytes; mfusepy decodes it with surrogateescape."""
    return path.encode(errors="surrogateescape")


class Operations(mfusepy.Operations):  # type: ignore[misc]
    """The operations that mfusepy calls, answered from a reader. They raise `FuseOSError`."""

    use_ns = True

    def __init__(self, reader: Reader, ready: Callable[[], None], failures: Failures) -> None:
        self.reader = reader
        self.failures = failures
        self.tree = reader.tree
        self.ready = ready

    @contextlib.contextmanager
    def inode(self, path: str) -> Iterator[Inode]:
        """Give the inode at `path` for the block. Failures there become error numbers; why a flist
        is damaged is reported."""
        try:
            raw = coded(path)
            if len(raw.rpartition(b"/")[2]) > NAME_MAX_BYTES:
                raise mfusepy.FuseOSError(errno.ENAMETOOLONG)
            yield self.tree.find(raw)
        except FileNotFoundError as error:
            raise mfusepy.FuseOSError(errno.ENOENT) from error
        except FlistError as error:
            self.failures.note(f"access {self.failures.target}{path}", error)
            raise mfusepy.FuseOSError(errno.EIO) from error

    def init(self, _path: str) -> None:
        """Report that the mount is up."""
        self.ready()

    def getattr(self, path: str, _fh: int | None = None) -> dict[str, Any]:
        """Return the attributes; times are nanoseconds (`use_ns`)."""
        with self.inode(path) as inode:
            return {
                "st_ino": inode.content_ino,
                "st_mode": inode.mode,
                "st_nlink": self.tree.link_count(inode),
                "st_uid": inode.uid,
                "st_gid": inode.gid,
                "st_rdev": inode.rdev,
                "st_size": inode.size,
                "st_blocks": self.tree.stat_blocks(inode),
                "st_blksize": 4096,
                "st_atime": inode.mtime_ns,
                "st_mtime": inode.mtime_ns,
                "st_ctime": inode.ctime_ns,
            }

    def readdir(self, path: str, _fh: int) -> Iterator[tuple[str, dict[str, int], int]]:
        """Yield the entries of a directory."""
        with self.inode(path) as inode:
            entries = self.tree.entries(inode.ino)
        for name in (".", ".."):
            yield name, {"st_mode": stat.S_IFDIR, "st_ino": inode.ino}, 0
        for entry in entries.values():
            name = entry.name.decode(errors="surrogateescape")
            yield name, {"st_mode": entry.mode, "st_ino": entry.content_ino}, 0

    def readlink(self, path: str) -> str:
        """Return the target of a symbolic link."""
        with self.inode(path) as inode:
            return self.tree.target(inode).decode(errors="surrogateescape")

    def open(self, path: str, _flags: int) -> int:
        """Return the inode number as the handle."""
        with self.inode(path) as inode:
            return inode.ino

    def read(self, _path: str, size: int, offset: int, fh: int) -> bytes:
        """Return bytes of a file; any failure is EIO."""
        inode = self.tree.inode(fh)
        try:
            return self.reader.read(inode, size, offset)
        except FlistError as error:
            self.failures.note_read(self.reader, inode, size, offset, error)
            raise mfusepy.FuseOSError(errno.EIO) from error

    def listxattr(self, path: str) -> list[str]:
        """Return the names of all extended attributes."""
        with self.inode(path) as inode:
            pairs = self.tree.meta(inode).xattrs
        return [name.decode(errors="surrogateescape") for name, _ in pairs]

    def getxattr(self, path: str, name: str, _position: int = 0) -> bytes:
        """Return one extended attribute."""
        with self.inode(path) as inode:
            value = dict(self.tree.meta(inode).xattrs).get(coded(name))
        if value is None:
            raise mfusepy.FuseOSError(errno.ENODATA)
        return value

    def statfs(self, _path: str) -> dict[str, int]:
        """Return the numbers that df shows: a full file system, like every read-only one."""
        count, size = self.tree.totals
        blocks = -(-size // 4096)
        return {"f_bsize": 4096, "f_frsize": 4096, "f_blocks": blocks, "f_files": count,
                "f_namemax": 255}  # fmt: skip


def end_on_signals(target: Path, clean_up: Callable[[], object]) -> None:
    """Unmount on SIGTERM, SIGINT or SIGHUP, which ends libfuse's loop. If the loop does not end,
    because a read waits for a store or a file is open, call `clean_up` and end the process.

    For the main thread, where the signals are blocked from now on: libfuse's own handlers would
    wait for every read.
    """
    numbers = {signal.SIGTERM, signal.SIGINT}
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        numbers.add(signal.SIGHUP)

    def run() -> None:
        signal.sigwait(numbers)
        detach(target)
        time.sleep(END_WITHIN_S)  # meanwhile the main thread ends the process, if it can
        detach(target)  # it may have been mounted only just now
        clean_up()
        os._exit(0)

    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    threading.Thread(target=run, daemon=True).start()


def serve(
    reader: Reader,
    target: Path,
    ready: Callable[[], None],
    clean_up: Callable[[], object],
    flags: int = SAFE,
) -> None:
    """Mount on `target` and answer until it is unmounted or a signal comes. A signal may call
    `clean_up` and end the process. `flags` are those of the mount. Raises `FlistError`."""
    end_on_signals(target, clean_up)
    is_root = os.geteuid() == 0
    refuse_unsafe(target, flags)
    options = {"suid": not flags & MS_NOSUID, "dev": not flags & MS_NODEV} if is_root else {}
    operations = Operations(reader, ready, Failures(target))
    try:
        mfusepy.FUSE(
            operations,
            str(target),
            foreground=True,
            ro=True,
            allow_other=is_root,
            default_permissions=True,
            kernel_cache=True,
            use_ino=True,
            fsname=str(os.getpid()),
            subtype="g8ufs",
            entry_timeout=FUSE_TIMEOUT_S,
            attr_timeout=FUSE_TIMEOUT_S,
            negative_timeout=FUSE_TIMEOUT_S,
            **options,
        )
    except RuntimeError as error:
        raise FlistError(f"cannot mount on {target}: libfuse gave status {error}") from error
