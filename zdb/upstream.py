"""`zdb`: the server under the name and with the options of upstream's program.

Source: `zdbd/zdbd.c` of threefoldtech/0-db 2.0.7; getopt_long_only, so one dash does as well. What
is different: the address is 127.0.0.1 if none is given, and any other one needs an admin password.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from common.ending import leave
from common.errors import UsageError, ZosError, run_command
from serving.settings import load_settings

LISTEN, PORT = "127.0.0.1", 9900
SIGNALLED = 128


def entry() -> int:
    """Be the whole program."""
    return leave(run_command(main, sys.argv[1:], "zdb"))


def main(argv: Sequence[str]) -> int:
    """Serve until a signal; return 128 and its number, as upstream does."""
    from zdb.serve.run import run
    from zdb.serve.settings import ZdbSettings

    options = make_parser().parse_args(argv)
    flags = flags_of(options)
    settings = load_settings(ZdbSettings, flags)
    if options.background:
        go_behind(options.logfile)
    number = run(settings)
    return SIGNALLED + number if number else 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of upstream's options."""
    parser = argparse.ArgumentParser(
        prog="zdb", description="Serve keys and values from one disk.", allow_abbrev=True
    )

    def add(name: str, text: str, metavar: str | None = None, default: object = None) -> None:
        names = (f"--{name}", f"-{name}")
        if metavar is None:
            parser.add_argument(*names, action="store_true", help=text)
        else:
            parser.add_argument(*names, metavar=metavar, default=default, help=text)

    add("data", "folder of the data files (./zdb-data)", "DIR", "./zdb-data")
    add("index", "folder of the index files (./zdb-index)", "DIR", "./zdb-index")
    add("mode", "user, seq, or mix: each namespace its own (mix)", "MODE", "mix")
    add("datasize", "bytes of a data file before the next is begun", "N")
    add("maxsize", "bytes of all values in the default namespace", "N")
    add("listen", f"address ({LISTEN})", "ADDR", LISTEN)
    add("port", f"port ({PORT})", "N", str(PORT))
    add("socket", "Unix socket, instead of address and port", "PATH")
    add("admin", "password of administrators", "PASSWORD")
    add("protect", "the default namespace wants that password for changes")
    add("hook", "program that is run at events", "FILE")
    add("sync", "each write survives a power failure")
    add("synctime", "seconds between two of those points otherwise (1)", "N")
    add("verbose", "log more")
    add("background", "run in the background")
    add("logfile", "log of a server in the background", "FILE")
    add("dualnet", "listen on the Unix socket as well as on the address")
    add("rotate", "not supported: data files change by size only", "N")
    add("debug-commands", "STOP and KSCAN work, as in upstream's debug build")
    return parser


def flags_of(options: argparse.Namespace) -> dict[str, object]:
    """Return the options as settings."""
    if options.rotate is not None:
        raise UsageError("cannot use --rotate: data files change by size only", hint="--datasize N")
    if options.mode not in ("user", "seq", "mix"):
        raise UsageError(f"cannot use --mode {options.mode}", hint="user, seq or mix")
    address = f"[{options.listen}]" if ":" in options.listen else options.listen
    is_alone = options.socket is not None and not options.dualnet
    return {
        "disk": [],
        "data": Path(options.data),
        "index": Path(options.index),
        "mode": options.mode,
        "listen": "" if is_alone else f"{address}:{options.port}",
        "socket": None if options.socket is None else Path(options.socket),
        "admin": options.admin,
        "protect": options.protect or None,
        "file_size": options.datasize,
        "maxsize": options.maxsize,
        "hook": None if options.hook is None else Path(options.hook),
        "sync": "always" if options.sync else None,
        "sync_seconds": options.synctime,
        "debug_commands": options.debug_commands or None,
        "log_level": "debug" if options.verbose else None,
    }


def go_behind(logfile: str | None) -> None:
    """Leave the caller: the parent ends, the child goes on with the log as its output."""
    if os.fork():
        os._exit(0)
    os.setsid()
    try:
        log = os.open(logfile or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise ZosError(f"cannot write log {logfile}: {error.strerror}") from error
    hole = os.open(os.devnull, os.O_RDONLY)
    for number, target in ((hole, 0), (log, 1), (log, 2)):
        os.dup2(number, target)


if __name__ == "__main__":
    sys.exit(entry())
