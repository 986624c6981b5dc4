"""Mounts a flist in a background process; the caller learns whether it is up, or why not.

What it takes to serve a mount is imported by that process only: so the fork and the caller's exit
are quick.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from common.errors import (
    EXIT_FAILURE,
    ZosError,
    explain_refusal,
    render_error,
    tell_traceback,
)
from common.notify import notify_ready
from flist.errors import FlistError

UP_WITHIN_S = 4.0
"""Counted from the start of the command, without the time that it waited for a processor."""
STARVED_MOST_S = 120.0
LOOK_S = 0.2
END_WITHIN_S = 1.0
POLL_S = 0.02
MAX_REPORT_BYTES = 65536
UP = b"up"

Serve = Callable[[Callable[[], None]], int]
"""Serves a mount until it is unmounted, and returns the exit status; calls its argument when up."""


def mount_in_background(
    serve: Serve,
    target: Path,
    log: Path | None,
    deadline: float,
    within_s: float | None = None,
    lower: Path | None = None,
) -> int:
    """Fork a process that calls `serve`, and return the exit status when the mount is up.

    It is on `target`, or on `lower` below an overlay. Raises the `ZosError` of that process, and
    `FlistError` if it ends, or takes until `deadline` (of the monotonic clock), which is after
    `within_s` seconds. Time that this process and the new one wait for a processor does not count:
    on a busy machine they would otherwise be ended for nothing.
    """
    output = open_log(log)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        serve_in_background(serve, output, writing)
    os.close(writing)
    os.close(output)
    try:
        is_readable = wait_for_report(reading, child, deadline)
        report = os.read(reading, MAX_REPORT_BYTES) if is_readable else b""
    finally:
        os.close(reading)
    if report == UP:
        return 0
    log_hint = f"see {log}" if log else None
    if not is_readable:
        end_child(child, lower or target)
        limit_s = UP_WITHIN_S if within_s is None else within_s
        raise FlistError(f"cannot mount on {target}: not up within {limit_s:g} s", hint=log_hint)
    if not report:
        raise FlistError(f"cannot mount on {target}: the process ended", hint=log_hint)
    raise read_report(report, log_hint)


def write_report(error: ZosError) -> bytes:
    """Return the report of an error: exit status, message and hint."""
    return f"{error.exit_code}\0{error.message}\0{error.hint or ''}".encode(errors="replace")


def read_report(report: bytes, log_hint: str | None) -> ZosError:
    """Return the error of a report."""
    code, _, text = report.decode(errors="replace").partition("\0")
    message, _, hint = text.partition("\0")
    error = FlistError(message, hint=hint or log_hint)
    error.exit_code = int(code)
    return error


def wait_for_report(reading: int, child: int, deadline: float) -> bool:
    """Wait until a child writes or closes its report; return False at `deadline`, which moves
    while both processes wait for a processor."""
    while True:
        starved_s = min(starved(os.getpid()) + starved(child), STARVED_MOST_S)
        left_s = max(deadline + starved_s - time.monotonic(), 0.0)
        if select.select([reading], [], [], min(left_s, LOOK_S))[0]:
            return True
        if not left_s:
            return False


def starved(pid: int) -> float:
    """Return for how many seconds a process was ready to run, but waited for a processor; 0 if the
    kernel does not tell (proc(5), schedstat)."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def end_child(child: int, place: Path) -> None:
    """End a process that is not up in time, and unmount what it has mounted on `place`. A process
    that hangs in the kernel is left behind."""
    from flist.mount.attach import detach

    for number in (signal.SIGTERM, signal.SIGKILL):
        os.kill(child, number)
        if has_ended(child, END_WITHIN_S):
            break
    detach(place.resolve(), child)


def has_ended(child: int, within_s: float) -> bool:
    """Wait up to `within_s` for a child to end; return whether it has."""
    deadline = time.monotonic() + within_s
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def serve_in_background(serve: Serve, output: int, report: int) -> None:
    """Become a daemon and mount; write `UP`, or what went wrong, to `report`. Never returns."""
    status = EXIT_FAILURE
    try:
        os.setsid()
        os.chdir("/")  # what is there now could not be unmounted
        redirect(output)

        def tell_up() -> None:
            os.write(report, UP)
            os.close(report)
            notify_ready()

        status = serve(tell_up)
    except (ZosError, OSError) as raised:
        error = raised if isinstance(raised, ZosError) else explain_refusal(raised)
        sys.stderr.write(render_error(error, "rfs mount"))
        with contextlib.suppress(OSError):
            os.write(report, write_report(error))
    except BaseException:
        tell_traceback()
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
