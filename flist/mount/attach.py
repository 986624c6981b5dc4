"""Mounts a FUSE connection on a directory and unmounts it, without libfuse.

Root mounts with mount(2). Other users go through the setuid helper fusermount3. The setuid bits of
a flist grant nothing and its device nodes cannot be opened, unless root has asked for that.
"""

import array
import contextlib
import os
import socket
from pathlib import Path

from common.mounts import MS_NODEV, MS_NOSUID, MS_RDONLY, MountEntry, mount, read_mounts, unmount
from flist.errors import FlistError

FILE_SYSTEM = "g8ufs"
KIND = f"fuse.{FILE_SYSTEM}"
READ_AHEAD_KIB = 1024
SAFE = MS_NOSUID | MS_NODEV


def attach(target: Path, flags: int = SAFE) -> int:
    """Mount on `target`, with `SAFE` or a part of it, and return the connection's file
    descriptor."""
    if os.geteuid() == 0:
        return attach_as_root(target, flags)
    refuse_unsafe(target, flags)
    return attach_as_user(target)


def refuse_unsafe(target: Path, flags: int) -> None:
    """Raise `FlistError` if a user who is not root wants setuid bits or device nodes to work."""
    if flags != SAFE and os.geteuid() != 0:
        raise FlistError(f"cannot mount on {target}: only root may use --allow-suid or --allow-dev")


def attach_as_root(target: Path, flags: int) -> int:
    """Mount with mount(2)."""
    try:
        handle = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise FlistError(
            f"cannot mount on {target}: /dev/fuse: {error.strerror}", hint="modprobe fuse"
        ) from error
    options = f"fd={handle},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other"
    try:
        mount(str(os.getpid()), target, f"fuse.{FILE_SYSTEM}", MS_RDONLY | flags, options)
    except OSError as error:
        os.close(handle)
        raise FlistError(f"cannot mount on {target}: {error.strerror}") from error
    return handle


def attach_as_user(target: Path) -> int:
    """Mount through the setuid helper, which passes the descriptor back over a socket."""
    import subprocess

    options = f"ro,default_permissions,fsname={os.getpid()},subtype={FILE_SYSTEM}"
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        env = {**os.environ, "_FUSE_COMMFD": str(theirs.fileno())}
        try:
            done = subprocess.run(
                ["fusermount3", "-o", options, "--", str(target)],  # noqa: S607
                env=env, pass_fds=[theirs.fileno()], capture_output=True, check=False, timeout=10,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FlistError(
                f"cannot mount on {target}: {error}", hint="install fuse3, or be root"
            ) from error
        if done.returncode != 0:
            raise FlistError(f"cannot mount on {target}: {done.stderr.decode().strip()}")
        fds = array.array("i")
        _, extra, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(fds.itemsize))
        fds.frombytes(extra[0][2][: fds.itemsize])
        os.set_inheritable(fds[0], False)
        return fds[0]


def detach(target: Path, pid: int | None = None) -> None:
    """Unmount the mount that this process, or process `pid`, serves on `target`, even while files
    in it are open.

    Does nothing if that mount is gone already, also when another one has taken its place.
    """
    with contextlib.suppress(OSError):  # no /proc here
        here = [entry for entry in read_mounts() if entry.target == str(target)]
        if not here or (here[-1].kind, here[-1].source) != (KIND, str(pid or os.getpid())):
            return
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            unmount(target)
        return
    import subprocess

    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        call = ["fusermount3", "-u", "-z", "--", str(target)]
        subprocess.run(call, capture_output=True, check=False, timeout=10)


def mounts_inside() -> list[MountEntry]:
    """Return what is mounted in directories of the mount that this process serves, also where that
    is seen through a bind mount; empty if there is no /proc."""
    with contextlib.suppress(OSError):
        entries = read_mounts()
        source = str(os.getpid())
        ours = {e.number: e.target for e in entries if (e.kind, e.source) == (KIND, source)}
        return [e for e in entries if ours.get(e.parent, e.target) != e.target]
    return []


def disconnect(handle: int) -> None:
    """Close the connection `handle`, and leave /dev/null open under its number. A thread that still
    answers a read would otherwise write into the next file that gets the number."""
    nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nothing, handle, inheritable=False)
    os.close(nothing)


def widen_read_ahead(target: Path) -> None:
    """Let the kernel read two chunks ahead instead of a quarter of one, where we have the right to
    set that.

    `target` must be resolved: to resolve it here would send requests that only we can answer.
    """
    place = str(target)
    with contextlib.suppress(OSError):
        for entry in read_mounts():
            if entry.target == place and entry.kind == KIND:
                setting = Path(f"/sys/class/bdi/{entry.device}/read_ahead_kb")
                setting.write_text(str(READ_AHEAD_KIB))
