"""Runs code as another user who may use FUSE, as on a desktop, even if this host forbids it."""

import ctypes
import os
import signal
import stat
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from common.mounts import MS_BIND, MS_REC, mount
from tests.helpers.needs import lack, need_root, need_tool

CLONE_NEWNS = 0x20000
MS_PRIVATE = 1 << 18
FUSE = Path("/dev/fuse")
FUSE_NUMBER = os.makedev(10, 229)
LONGEST_S = 240
MOST_BYTES = 65536


def run_with_fuse(uid: int, scratch: Path, work: Callable[[], None]) -> None:
    """Call `work` in a child process as user `uid`; fail with the exception that it raised.

    The child has its own mount namespace with a /dev/fuse that every user may open; the host's
    device is unchanged. `scratch` is an empty folder.
    """
    need_tool("fusermount3")
    run_as(uid, work, lambda: open_fuse(scratch))


def run_as(uid: int, work: Callable[[], None], prepare: Callable[[], None] = lambda: None) -> None:
    """Call `work` in a child process as user `uid`, after `prepare` as root; fail with the
    exception that it raised. What it imports must be imported already: the user may not be able to
    read it.
    """
    need_root()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        become_user(uid, prepare, work, writing)
    os.close(writing)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.set_blocking(reading, False)  # a mount that the child left may keep the pipe open
    with open(reading, "rb", buffering=0) as stream:
        said = (stream.read(MOST_BYTES) or b"").decode(errors="replace")
    if said.startswith("lack "):
        lack(said)
    if status != 0:
        pytest.fail(f"the other user's process gave {status}: {said}")


def become_user(
    uid: int, prepare: Callable[[], None], work: Callable[[], None], output: int
) -> None:
    """Run in the child; never returns."""
    status = 1
    try:
        signal.alarm(LONGEST_S)
        try:
            prepare()
        except OSError as error:
            os.write(output, f"lack of a /dev/fuse for all: {error}".encode())
            return
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        work()
        status = 0
    except BaseException:
        os.write(output, traceback.format_exc().encode())
    finally:
        os._exit(status)


def open_fuse(scratch: Path) -> None:
    """Replace /dev/fuse by a device that every user may open, in this process only."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    mount("none", Path("/"), "", MS_REC | MS_PRIVATE)
    mount("tmpfs", scratch, "tmpfs")
    os.mknod(scratch / "fuse", stat.S_IFCHR, FUSE_NUMBER)
    (scratch / "fuse").chmod(0o666)
    mount(str(scratch / "fuse"), FUSE, "", MS_BIND)
