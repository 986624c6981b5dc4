"""What all daemons share: confinement, the socket, readiness, and the end on SIGTERM."""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from common.ending import leave
from common.errors import tell_traceback
from common.ipc.server import Method, Server
from common.notify import notify_ready
from core.errors import CoreError
from core.places import socket_of
from core.sandbox.confine import confine
from core.sandbox.profile import Profile

STOP_WITHIN_S = 1.0


class Stop:
    """Tells the main thread to end: SIGTERM or SIGINT came.

    A pipe and not a `threading.Event`, whose lock a signal handler could wait for forever.
    """

    def __init__(self, within_s: float = STOP_WITHIN_S) -> None:
        self.within_s = within_s
        self.is_asked = False
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def listen(self) -> None:
        """Handle the signals from now on. Only the main thread can."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)
        signal.signal(signal.SIGALRM, self._end)

    def fileno(self) -> int:
        """Return a descriptor that is readable once the daemon is to end."""
        return self._reader

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait, at most for `timeout_s`; return whether the daemon is to end."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        while not self.is_asked:
            left_ms = None if deadline is None else (deadline - time.monotonic()) * 1000
            if left_ms is not None and left_ms <= 0:
                break
            poll.poll(left_ms)
        return self.is_asked

    def _ask(self, *_: object) -> None:
        if not self.is_asked:
            self.is_asked = True
            os.write(self._writer, b"x")
            signal.setitimer(signal.ITIMER_REAL, self.within_s)

    def _end(self, *_: object) -> NoReturn:
        """End, though the main thread is busy: it was given its time."""
        os._exit(0)


def wait_for_end(stop: Stop) -> None:
    """Do nothing but answer calls."""
    stop.wait()


@dataclass
class Work:
    """What a daemon does once it is confined.

    `methods` are served on its socket; `loop` runs on the main thread until `Stop` says so, and
    must come back within `stop_within_s` then.
    """

    methods: Mapping[str, Method] = field(default_factory=dict)
    loop: Callable[[Stop], None] = wait_for_end
    stop_within_s: float = STOP_WITHIN_S


def run_daemon(profile: Profile, begin: Callable[[], Work]) -> NoReturn:
    """Confine this process, let `begin` prepare it, and work until SIGTERM. Doesn't return.

    What fails raises `CoreError` before the daemon is ready, and `zos` prints it.
    """
    confine(profile)
    stop = Stop()
    stop.listen()
    work = begin()
    stop.within_s = work.stop_within_s
    server = open_server(profile, work.methods) if work.methods else None
    notify_ready()
    work.loop(stop)
    if server is not None:
        server.close()
    leave(0)


def start_thread(work: Callable[[], object]) -> None:
    """Run `work` beside the main thread. If it fails, the daemon ends; zinit starts it again."""

    def run() -> None:
        try:
            work()
        except BaseException:
            tell_traceback()
            os._exit(1)

    threading.Thread(target=run, daemon=True).start()


def open_server(profile: Profile, methods: Mapping[str, Method]) -> Server:
    """Serve on the daemon's socket, whose folder must be there, owned by its user."""
    name, path = profile.name, socket_of(profile.name)
    try:
        return Server(path, methods, profile.connections_max).__enter__()
    except OSError as error:
        raise CoreError(
            f"cannot listen on {path}: {error.strerror}",
            hint=f"bring-up makes {path.parent} for user {os.geteuid()} before it starts {name}",
        ) from error


def tell(name: str, text: str) -> None:
    """Write a line to the daemon's log."""
    print(f"{name}: {text}", file=sys.stderr, flush=True)
