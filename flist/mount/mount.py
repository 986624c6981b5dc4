"""Mounts a flist in the foreground: checks, adapter, control socket, overlay."""

import contextlib
import errno
import stat
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from common.errors import render_error
from common.notify import notify_ready
from flist.errors import FlistError
from flist.format.sqlitefile import Check
from flist.mount.ahead.ahead import Ahead
from flist.mount.attach import SAFE, mounts_inside
from flist.mount.control import find_server, make_handler, start_control
from flist.mount.imports import import_rest, prepare_imports
from flist.mount.overlay import open_overlay
from flist.mount.reader import Reader, load_reader, open_reader
from flist.store.base import adopt
from flist.store.fetch import Statistics
from flist.store.sources import Sources

if TYPE_CHECKING:
    from http.client import HTTPConnection

    from flist.mount.fuse.server import Server

SHOWN_MOUNTS = 5


class Mount(NamedTuple):
    """What to mount where.

    - `adapter` is "raw" (our own loop on /dev/fuse) or "library" (libfuse through mfusepy).
    - `check` is that of `flist.format.opening.open_flist`.
    - `record` and `replay` are traces.
    - `overlay` is the folder of a writable layer.
    - With `xattrs` a later version may have extended attributes although this one has none.
    - `flags` are those of the mount: `SAFE`, or a part of it.
    - `connections` are open connections to servers that may be among the stores.
    """

    meta: Path
    target: Path
    sources: Sources
    adapter: str
    check: Check | None = None
    record: Path | None = None
    replay: Path | None = None
    overlay: Path | None = None
    xattrs: bool = False
    connections: Sequence["HTTPConnection"] = ()
    flags: int = SAFE


def mount(what: Mount, ready: Callable[[], None] = notify_ready) -> int:
    """Mount, serve until unmounted and return the exit status. `ready` is called when the mount is
    up. Raises `FlistError`."""
    serve = serve_raw
    if what.adapter == "library":
        load_library()
        serve = serve_library
    check_target(what.target)
    with contextlib.ExitStack() as stack:
        target, overlay, up = what.target.resolve(), None, partial(tell_up, ready)
        if what.overlay:
            overlay = stack.enter_context(open_overlay(what.overlay, target, what.flags))
            target, up = overlay.lower, partial(overlay.start, up)
        reader = stack.enter_context(open_reader(what.meta, what.sources, what.check))
        for connection in what.connections:
            if not adopt(reader.fetcher.store, connection):
                connection.close()
        if what.record:
            record(what.record, reader, stack)
        prepare_imports({target, what.target.resolve()})
        serve(what, reader, target, up, stack)
    if overlay and overlay.error:
        raise overlay.error
    return 0


def tell_up(ready: Callable[[], None]) -> None:
    """Call `ready`; then import the rest, before descriptors can be scarce or sources change."""
    ready()
    import_rest()


def serve_raw(
    what: Mount,
    reader: Reader,
    target: Path,
    ready: Callable[[], None],
    stack: contextlib.ExitStack,
) -> None:
    """Serve through our own loop on /dev/fuse."""
    from flist.mount.fuse.server import close_all, serve

    def started(server: "Server") -> None:
        server.versions.expects_xattrs = what.xattrs
        stack.callback(lambda: close_all(server.versions.readers.values()))
        start_control(make_handler(server.versions.statistics, partial(change, what, server)))
        server.ahead.connect(reader)
        replay(what, reader, server.ahead)

    serve(reader, target, ready, started, what.flags)


def serve_library(
    what: Mount,
    reader: Reader,
    target: Path,
    ready: Callable[[], None],
    stack: contextlib.ExitStack,
) -> None:
    """Serve through libfuse and mfusepy."""

    def up() -> None:
        start_control(
            make_handler(lambda: ([Statistics(), reader.fetcher.statistics], 1), refuse_change)
        )
        ahead = Ahead()
        stack.callback(ahead.close)
        replay(what, reader, ahead)
        ready()

    load_library().serve(reader, target, up, stack.close, what.flags)


def load_library() -> ModuleType:
    """Return the adapter for libfuse; raises `FlistError` if it or mfusepy is not installed."""
    try:
        from flist.mount.fuse import library
    except ModuleNotFoundError as error:
        if error.name != "mfusepy":
            raise
        raise FlistError(
            "cannot mount with --adapter library: mfusepy is not installed",
            hint="pip install 'zero-os[host]', or mount with --adapter raw",
        ) from error
    except OSError as error:  # mfusepy looks for libfuse when it is imported
        raise FlistError(
            f"cannot mount with --adapter library: {error}",
            hint="install libfuse (Debian: libfuse3-4), or mount with --adapter raw",
        ) from error
    return library


def record(trace: Path, reader: Reader, stack: contextlib.ExitStack) -> None:
    """Record which chunks are read until `stack` is closed."""
    from flist.mount.trace import Recorder

    recorder = Recorder(trace)
    stack.callback(recorder.close)
    reader.note = recorder.note


def replay(what: Mount, reader: Reader, ahead: Ahead) -> None:
    """Fetch what an earlier mount read, in a thread, if there is a trace of it."""
    if what.replay is None:
        return
    trace = what.replay

    def run() -> None:
        try:
            ahead.replay(reader, trace)
        except FlistError as error:
            if not ahead.is_closed:
                sys.stderr.write(render_error(error, "rfs mount: replay"))

    threading.Thread(target=run, daemon=True).start()


def change(what: Mount, server: "Server", meta: Path) -> None:
    """Show the flist `meta` from now on; raises `FlistError`."""
    if what.overlay:  # the lower layer must not change: the kernel calls the result undefined
        raise FlistError(
            "cannot change the flist: there is an overlay above it",
            hint=f"umount {what.target}, then mount the new one with the same --overlay",
        )
    if inside := mounts_inside():  # the kernel would unmount it with the directory it is on
        names = ", ".join(f"{entry.target} ({entry.kind})" for entry in inside[:SHOWN_MOUNTS])
        more = f" and {len(inside) - SHOWN_MOUNTS} more" if len(inside) > SHOWN_MOUNTS else ""
        raise FlistError(
            f"cannot change the flist: {names}{more} is mounted inside", hint="unmount that first"
        )
    reader = load_reader(meta, what.sources, what.check)
    try:
        server.switch(reader)
    except BaseException:
        reader.close()
        raise


def refuse_change(_meta: Path) -> None:
    """Raise the `FlistError` that answers a remount of a mount through libfuse."""
    raise FlistError(
        "cannot change the flist: this mount goes through libfuse", hint="mount with --adapter raw"
    )


def check_target(target: Path) -> None:
    """Raise `FlistError` if the mount point is not a directory or has a flist mounted on it."""
    try:
        status = target.stat()
    except OSError as error:
        is_dead = error.errno == errno.ENOTCONN  # the process that served a mount there was killed
        raise FlistError(
            f"cannot mount on {target}: {error.strerror}",
            hint=f"umount {target}" if is_dead else None,
        ) from error
    if not stat.S_ISDIR(status.st_mode):
        raise FlistError(f"cannot mount on {target}: it is not a directory")
    with contextlib.suppress(OSError):  # there is no /proc
        if find_server(target) is not None:
            raise FlistError(
                f"cannot mount on {target}: a flist is mounted there", hint=f"umount {target}"
            )
