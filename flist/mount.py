"""Mounting from start to end: checks, adapter, readiness, background."""

import contextlib
import os
import select
import stat
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from common.errors import ZosError, render_error
from flist.errors import FlistError
from flist.notify import notify_ready
from flist.session import Sources, open_reader

UP_WITHIN_S = 4.0


class Mount(NamedTuple):
    """What to mount where; `adapter` is "raw" or "library"."""

    meta: Path
    target: Path
    sources: Sources
    adapter: str


def mount(what: Mount, ready: Callable[[], None] = notify_ready) -> int:
    """Mount and serve until unmounted; `ready` is called when the mount is up."""
    check_target(what.target)
    with open_reader(what.meta, what.sources) as reader:
        if what.adapter == "raw":
            from flist import fuse_raw

            fuse_raw.serve(reader, what.target, ready)
        else:
            from flist import fuse_library

            fuse_library.serve(reader, what.target, ready)
    return 0


def check_target(target: Path) -> None:
    """Refuse a mount point that is not a directory, or one that a flist is mounted on."""
    try:
        status = target.stat()
    except OSError as error:
        raise FlistError(f"cannot mount on {target}: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise FlistError(f"cannot mount on {target}: it is not a directory")
    with contextlib.suppress(OSError):
        mounts = Path("/proc/self/mounts").read_text()
        place = str(target.resolve())
        for line in mounts.splitlines():
            fields = line.split(" ")
            if unescape(fields[1]) == place and fields[2] == "fuse.g8ufs":
                raise FlistError(
                    f"cannot mount on {target}: a flist is mounted there", hint=f"umount {target}"
                )


def unescape(field: str) -> str:
    """Return a path of /proc/self/mounts with its octal escapes undone."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, char)
    return field


def mount_in_background(what: Mount, log: Path | None) -> int:
    """Mount in a process of its own; return when it is up, raise if that fails or takes long."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        serve_in_background(what, log, writing)
    os.close(writing)
    try:
        is_readable = select.select([reading], [], [], UP_WITHIN_S)[0]
        answer = os.read(reading, 65536).decode(errors="replace") if is_readable else ""
    finally:
        os.close(reading)
    if answer == "up":
        return 0
    if not is_readable:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, 9)
        raise FlistError(f"cannot mount on {what.target}: not up within {UP_WITHIN_S:g} s")
    raise FlistError(answer or f"cannot mount on {what.target}: the process ended", hint=hint(log))


def hint(log: Path | None) -> str | None:
    """Return where to look."""
    return f"see {log}" if log else None


def serve_in_background(what: Mount, log: Path | None, report: int) -> None:
    """Become a daemon, mount, and tell `report` "up" or why not; never returns."""
    status = 1
    try:
        os.setsid()
        redirect(log)

        def tell_up() -> None:
            os.write(report, b"up")
            os.close(report)
            notify_ready()

        status = mount(what, tell_up)
    except ZosError as error:
        sys.stderr.write(render_error(error, "rfs mount"))
        with contextlib.suppress(OSError):
            os.write(report, error.message.encode())
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def redirect(log: Path | None) -> None:
    """Take stdin from nowhere and send stdout and stderr to `log` (or nowhere)."""
    null = os.open(os.devnull, os.O_RDWR)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    output = os.open(log, flags, 0o644) if log else null
    for handle, source in ((0, null), (1, output), (2, output)):
        os.dup2(source, handle)
    for handle in {null, output}:
        if handle > 2:
            os.close(handle)
