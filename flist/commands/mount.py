"""Mount a flist read-only. Blocks are fetched when they are read, checked, and cached.

The flist may be a file or an http(s) address; an address is fetched once, at the start.

The command stays in the foreground and reports readiness to $NOTIFY_SOCKET; SIGTERM unmounts. With
--daemon it returns when the mount is up, or fails after --timeout seconds with the reason. The
mount's source is the process id of its server, its type is fuse.g8ufs.
"""

import argparse
import contextlib
import importlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from common.notify import notify_ready
from flist.commands.shared.options import (
    add_key_options,
    add_sources,
    parse_meta,
    read_sources,
    signature_check,
)
from flist.errors import FlistError
from flist.http.urls import hide_secrets
from flist.values import parse_path, parse_seconds

if TYPE_CHECKING:
    from http.client import HTTPConnection


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "-m", "--meta", type=parse_meta, required=True, metavar="FILE|URL",
        help="the flist, or its address",
    )  # fmt: skip
    add_sources(parser)
    add_key_options(parser)
    parser.add_argument("-d", "--daemon", action="store_true", help="go to the background when up")
    parser.add_argument(
        "--timeout", type=parse_seconds, metavar="SECONDS",
        help="how long --daemon waits for the mount (4)",
    )  # fmt: skip
    parser.add_argument(
        "-l", "--log", type=parse_path, metavar="FILE", help="log file of the daemon"
    )
    parser.add_argument(
        "--adapter", choices=("raw", "library"), default="raw",
        help="raw: our own FUSE server (default); library: libfuse",
    )  # fmt: skip
    parser.add_argument(
        "--record", type=parse_path, metavar="FILE", help="record what is read, for --replay"
    )
    parser.add_argument(
        "--replay",
        type=parse_path,
        metavar="FILE",
        help="fetch what was recorded before it is read",
    )
    parser.add_argument(
        "--overlay", type=parse_path, metavar="DIR",
        help="mount writable: changes go to DIR/upper, and DIR/lower is the flist itself",
    )  # fmt: skip
    parser.add_argument(
        "--xattrs", action="store_true",
        help="allow `remount` to a version with extended attributes even if this one has none",
    )  # fmt: skip
    parser.add_argument(
        "--allow-suid", action="store_true", help="let setuid programs and capabilities work"
    )
    parser.add_argument("--allow-dev", action="store_true", help="let device nodes be opened")
    parser.add_argument("target", type=parse_path, metavar="MOUNTPOINT")


def run(options: argparse.Namespace) -> int:
    """Mount."""
    started = time.monotonic()
    if options.replay:
        from flist.mount.trace import check_trace

        check_trace(options.replay)  # later, an error would only reach the log
    with contextlib.ExitStack() as stack:
        connections = fetch_meta(options, stack) if isinstance(options.meta, str) else []
        if not options.daemon:
            return serve(options, connections, notify_ready)
        from flist.mount.background import mount_in_background

        make_absolute(options)
        within_s = find_limit(options)
        return mount_in_background(
            partial(serve, options, connections), options.target, options.log,
            started + within_s, within_s, options.overlay and options.overlay / "lower",
        )  # fmt: skip


def serve(
    options: argparse.Namespace,
    connections: "Sequence[HTTPConnection]",
    ready: Callable[[], None],
) -> int:
    """Mount, call `ready`, serve until unmounted, and return the exit status."""
    from common.mounts import MS_NODEV, MS_NOSUID
    from flist.mount.mount import Mount, mount

    what = Mount(
        options.meta, options.target, read_sources(options), options.adapter,
        signature_check(options), options.record, options.replay,
        options.overlay, options.xattrs, connections,
        (0 if options.allow_suid else MS_NOSUID) | (0 if options.allow_dev else MS_NODEV),
    )  # fmt: skip
    return mount(what, ready)


def make_absolute(options: argparse.Namespace) -> None:
    """Make all paths absolute: the daemon leaves the current directory."""
    for name, value in vars(options).items():
        if isinstance(value, Path):
            setattr(options, name, value.absolute())


def find_limit(options: argparse.Namespace) -> float:
    """Return the seconds in which a daemon's mount has to be up."""
    from flist.mount import background

    limit_s: float = background.UP_WITHIN_S if options.timeout is None else options.timeout
    return limit_s


def fetch_meta(options: argparse.Namespace, stack: contextlib.ExitStack) -> "list[HTTPConnection]":
    """Fetch the flist at an address, and its signature, and put their paths into the options.

    Returns the connections that are still open.
    """
    import tempfile

    from flist.store.metadata import FlistDownload

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flist-")))
    is_signed = options.key is not None and options.signature is None
    download = FlistDownload(options.meta, folder, is_signed=is_signed)
    importlib.import_module("flist.mount.fuse.server")  # meanwhile: it takes as long as the fetch
    within_s = find_limit(options)
    download.thread.join(within_s if options.daemon else None)
    if download.thread.is_alive():
        raise FlistError(
            f"cannot mount on {options.target}: not up within {within_s:g} s:"
            f" {hide_secrets(options.meta)} has not come yet",
            hint="fetch the flist first, or mount it without --daemon",
        )
    done = download.result()
    options.meta = done.meta
    options.signature = options.signature or done.signature
    return done.connections
