"""Mount a flist read-only; blocks are fetched when they are read, checked, and cached.

Stays in the foreground and tells readiness to $NOTIFY_SOCKET; SIGTERM unmounts. With --daemon it
returns when the mount is up, or fails with the reason. The mount's source is the process id of
what serves it, its type fuse.g8ufs.
"""

import argparse

from flist.commands.options import (
    add_key_options,
    add_meta,
    add_sources,
    check_signature,
    read_sources,
)
from flist.commands.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser)
    add_sources(parser)
    add_key_options(parser)
    parser.add_argument("-d", "--daemon", action="store_true", help="go to the background when up")
    parser.add_argument("-l", "--log", type=parse_path, metavar="FILE", help="log of the daemon")
    parser.add_argument(
        "--adapter", choices=("raw", "library"), default="raw",
        help="speak to the kernel ourselves, or through libfuse",
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
        help="mount writable; changes go to DIR/upper (DIR/lower is the flist itself)",
    )  # fmt: skip
    parser.add_argument(
        "--xattrs", action="store_true",
        help="allow `remount` to a version with extended attributes although this one has none",
    )  # fmt: skip
    parser.add_argument("target", type=parse_path, metavar="MOUNTPOINT")


def run(options: argparse.Namespace) -> int:
    """Mount."""
    from flist.mount import Mount, mount, mount_in_background

    what = Mount(
        options.meta, options.target, read_sources(options), options.adapter,
        lambda meta: check_signature(options, meta), options.record, options.replay,
        options.overlay, options.xattrs,
    )  # fmt: skip
    what.check(what.meta)
    if options.daemon:
        return mount_in_background(what, options.log)
    return mount(what)
