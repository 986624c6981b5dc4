"""Mounts a flist in a background process; the caller learns whether it is up, or why not."""

import contextlib
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path

from common.errors import ZosError, explain_refusal, render_error
from common.notify import notify_ready
from flist.errors import FlistError
from flist.mount.attach import detach
from flist.mount.mount import Mount, mount

UP_WITHIN_S = 4.0
"""Counted from the start of the command."""
END_WITHIN_S = 1.0
POLL_S = 0.02
MAX_REPORT_BYTES = 65536


def mount_in_background(what: Mount, log: Path | None, deadline: float) -> int:
    """Fork a process that mounts, and return the exit status when the mount is up.

    Raises `FlistError` if that fails, or takes until `deadline` (of the monotonic clock).
    """
    output = open_log(log)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        serve_in_background(what, output, writing)
    os.close(writing)
    os.close(output)
    try:
        left_s = max(deadline - time.monotonic(), 0.0)
        is_readable = select.select([reading], [], [], left_s)[0]
        report = os.read(reading, MAX_REPORT_BYTES).decode(errors="replace") if is_readable else ""
    finally:
        os.close(reading)
    if report == "up":
        return 0
    log_hint = f"see {log}" if log else None
    if not is_readable:
        end_child(child, what)
        raise FlistError(
            f"cannot mount on {what.target}: not up within {UP_WITHIN_S:g} s", hint=log_hint
        )
    message, _, hint = report.partition("\0")
    raise FlistError(
        message or f"cannot mount on {what.target}: the process ended", hint=hint or log_hint
    )


def end_child(child: int, what: Mount) -> None:
    """End a process that is not up in time, and unmount what it has mounted. A process that hangs
    in the kernel is left behind."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.kill(child, number)
        if has_ended(child, END_WITHIN_S):
            break
    detach((what.overlay / "lower" if what.overlay else what.target).resolve(), child)


def has_ended(child: int, within_s: float) -> bool:
    """Wait up to `within_s` for a child to end; return whether it has."""
    deadline = time.monotonic() + within_s
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def serve_in_background(what: Mount, output: int, report: int) -> None:
    """Become a daemon and mount; write "up", or an error's message and hint, to `report`. Never
    returns."""
    status = 1
    try:
        os.setsid()
        redirect(output)

        def tell_up() -> None:
            os.write(report, b"up")
            os.close(report)
            notify_ready()

        status = mount(what, tell_up)
    except (ZosError, OSError) as raised:
        error = raised if isinstance(raised, ZosError) else explain_refusal(raised)
        sys.stderr.write(render_error(error, "rfs mount"))
        with contextlib.suppress(OSError):
            os.write(report, f"{error.message}\0{error.hint or ''}".encode())
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def open_log(log: Path | None) -> int:
    """Open the daemon's log, or /dev/null; raises `FlistError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK  # fails for a FIFO unread
    try:
        handle = os.open(log or os.devnull, flags, 0o644)
    except OSError as error:
        raise FlistError(f"cannot write log {log}: {error.strerror}") from error
    os.set_blocking(handle, True)
    return handle


def redirect(output: int) -> None:
    """Redirect stdin from /dev/null, stdout and stderr to `output`."""
    null = os.open(os.devnull, os.O_RDONLY)
    for handle, source in ((0, null), (1, output), (2, output)):
        os.dup2(source, handle)
    for handle in {null, output}:
        if handle > 2:
            os.close(handle)
