"""Mounting from start to end: checks, adapter, readiness, background."""

import contextlib
import errno
import os
import select
import signal
import stat
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from common.errors import ZosError, explain_refusal, render_error
from common.notify import notify_ready
from flist.errors import FlistError
from flist.mount.ahead.ahead import Ahead
from flist.mount.control import Handler, find_server, start_control
from flist.mount.fuse.attach import detach
from flist.mount.overlay import open_overlay
from flist.store.base import adopt
from flist.store.sources import Sources, open_reader

if TYPE_CHECKING:
    from http.client import HTTPConnection

    from flist.mount.fuse.server import Server
    from flist.mount.reader import Reader

UP_WITHIN_S = 4.0
"""Since the command began."""
END_WITHIN_S = 1.0
POLL_S = 0.02


class Mount(NamedTuple):
    """What to mount where; `adapter` is "raw" or "library". `check` raises `SignatureError` for a
    flist that must not be mounted. `record` and `replay` are traces; `overlay` is the folder of a
    writable layer; with `xattrs` a later version may have attributes although this one has none;
    `connections` are open, and of use if they lead to a store."""

    meta: Path
    target: Path
    sources: Sources
    adapter: str
    check: Callable[[Path], None] = lambda _meta: None
    record: Path | None = None
    replay: Path | None = None
    overlay: Path | None = None
    xattrs: bool = False
    connections: Sequence["HTTPConnection"] = ()


def mount(what: Mount, ready: Callable[[], None] = notify_ready) -> int:
    """Mount and serve until unmounted; `ready` is called when the mount is up."""
    what.check(what.meta)
    check_target(what.target)
    with contextlib.ExitStack() as stack:
        target, overlay = what.target.resolve(), None
        if what.overlay:
            overlay = stack.enter_context(open_overlay(what.overlay, target))
            target = overlay.lower
        reader = stack.enter_context(open_reader(what.meta, what.sources))
        for connection in what.connections:
            if not adopt(reader.fetcher.store, connection):
                connection.close()
        if what.record:
            from flist.mount.trace import Recorder

            recorder = Recorder(what.record)
            stack.callback(recorder.close)
            reader.note = recorder.note
        begin = partial(overlay.start, ready) if overlay else ready
        if what.adapter == "library":
            from flist.mount.fuse import library as fuse_library

            def up() -> None:
                start_control(answerer([reader], refuse_change))
                ahead = Ahead()
                stack.callback(ahead.close)
                replay(what, reader, ahead)
                begin()

            fuse_library.serve(reader, target, up, stack.close)
        else:
            from flist.mount.fuse import server as fuse_raw

            fuse_raw.serve(reader, target, begin, lambda server: watch(what, server, stack))
    if overlay and overlay.error:
        raise overlay.error
    return 0


def replay(what: Mount, reader: "Reader", ahead: Ahead) -> None:
    """Have fetched what an earlier mount read, if a trace of that is named."""
    if what.replay is None:
        return
    trace = what.replay

    def run() -> None:
        try:
            ahead.replay(reader, trace)
        except FlistError as error:
            sys.stderr.write(render_error(error, "rfs mount: replay"))

    threading.Thread(target=run, daemon=True).start()


def watch(what: Mount, server: "Server", stack: contextlib.ExitStack) -> None:
    """Open the control socket of a mount, and begin what is fetched ahead."""
    server.expects_xattrs = what.xattrs

    def change(meta: Path) -> None:
        if what.overlay:  # the kernel's word: undefined, what is below it may not change
            raise FlistError(
                "cannot change the flist: there is an overlay above it",
                hint=f"umount {what.target}, then mount the new one with the same --overlay",
            )
        what.check(meta)
        server.switch(stack.enter_context(open_reader(meta, what.sources)))

    start_control(answerer(server.readers, change))
    server.ahead.connect(server.readers[0])
    replay(what, server.readers[0], server.ahead)


def refuse_change(_meta: Path) -> None:
    """Say why the flist of a mount through libfuse stays what it is."""
    raise FlistError(
        "cannot change the flist: this mount goes through libfuse", hint="mount with --adapter raw"
    )


def answerer(readers: Sequence["Reader"], change: Callable[[Path], None]) -> Handler:
    """Return what answers at the control socket; `change` shows another flist."""

    def handle(request: dict[str, Any]) -> dict[str, Any]:
        command = request.get("command")
        if command == "stats":
            return statistics(readers)
        if command == "remount":
            change(Path(str(request.get("meta"))))
            return {"versions": len(readers)}
        raise FlistError(f"unknown command {command!r}")

    return handle


def statistics(readers: Sequence["Reader"]) -> dict[str, Any]:
    """Return what the mount has done, all versions together."""
    parts = [vars(reader.fetcher.statistics) for reader in readers]
    total = {name: sum(part[name] for part in parts) for name in parts[0]}
    total["slowest_s"] = round(max(part["slowest_s"] for part in parts), 6)
    total["fetch_s"] = round(total["fetch_s"], 6)
    total["mean_s"] = round(total["fetch_s"] / max(total["fetched"], 1), 6)
    return {**total, "versions": len(parts)}


def check_target(target: Path) -> None:
    """Refuse a mount point that is not a directory, or one that a flist is mounted on."""
    try:
        status = target.stat()
    except OSError as error:
        is_dead = error.errno == errno.ENOTCONN  # what served the mount there was killed
        raise FlistError(
            f"cannot mount on {target}: {error.strerror}",
            hint=f"umount {target}" if is_dead else None,
        ) from error
    if not stat.S_ISDIR(status.st_mode):
        raise FlistError(f"cannot mount on {target}: it is not a directory")
    with contextlib.suppress(OSError):  # no /proc here
        if find_server(target) is not None:
            raise FlistError(
                f"cannot mount on {target}: a flist is mounted there", hint=f"umount {target}"
            )


def mount_in_background(what: Mount, log: Path | None, deadline: float) -> int:
    """Mount in a process of its own; return when it is up, raise if that fails or is not so by
    `deadline` (of the monotonic clock)."""
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
        answer = os.read(reading, 65536).decode(errors="replace") if is_readable else ""
    finally:
        os.close(reading)
    if answer == "up":
        return 0
    if not is_readable:
        give_up(child, what)
        raise FlistError(
            f"cannot mount on {what.target}: not up within {UP_WITHIN_S:g} s",
            hint=f"see {log}" if log else None,
        )
    message, _, hint = answer.partition("\0")
    raise FlistError(
        message or f"cannot mount on {what.target}: the process ended",
        hint=hint or (f"see {log}" if log else None),
    )


def give_up(child: int, what: Mount) -> None:
    """End a process that is not up in time, and what it has mounted; one that hangs in the kernel
    is left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.kill(child, number)
        if has_ended(child, END_WITHIN_S):
            break
    detach((what.overlay / "lower" if what.overlay else what.target).resolve(), child)


def has_ended(child: int, within_s: float) -> bool:
    """Wait for a child to end, but not for long; return whether it has."""
    deadline = time.monotonic() + within_s
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def serve_in_background(what: Mount, output: int, report: int) -> None:
    """Become a daemon, mount, and tell `report` "up" or why not; never returns."""
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
    """Open the daemon's log, or what keeps nothing."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK  # a pipe that nobody reads
    try:
        handle = os.open(log or os.devnull, flags, 0o644)
    except OSError as error:
        raise FlistError(f"cannot write log {log}: {error.strerror}") from error
    os.set_blocking(handle, True)
    return handle


def redirect(output: int) -> None:
    """Take stdin from nowhere and send stdout and stderr to `output`."""
    null = os.open(os.devnull, os.O_RDONLY)
    for handle, source in ((0, null), (1, output), (2, output)):
        os.dup2(source, handle)
    for handle in {null, output}:
        if handle > 2:
            os.close(handle)
