"""Ends a mount on SIGTERM, SIGINT or SIGHUP, between two requests.

Python handles signals between its own instructions. A signal that arrives just before the system
call that reads the next request would be handled only when that call returns, which may be never.
So a thread sends the signal again until it is handled. A signal that arrives while a request is
answered waits for the answer, since an exception there would leave locks held. An answer that takes
very long is given up.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

RESEND_S = 0.02
GIVEN_UP_AFTER_S = 1.0


class Stop(BaseException):
    """Raised in the main thread when a signal asks to unmount."""


class Stopping:
    """The state of the signals. The main thread sets `is_idle` while it waits for a request; then
    a signal raises `Stop`, once. `is_asked` says that a signal has come, `is_heeded` that `Stop`
    was raised or may not be raised any more."""

    def __init__(self) -> None:
        self.is_asked = False
        self.is_idle = False
        self.is_heeded = False
        self.is_over = threading.Event()

    def note(self, _number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        self.is_asked = True
        if self.is_idle and not self.is_heeded:
            self.is_heeded = True
            raise Stop

    def insist(self, signals: int, thread: int) -> None:
        """Read the number of the first signal from the pipe `signals`, and send that signal to a
        thread until `is_over`. The pipe is at its end if no signal came."""
        for number in os.read(signals, 1):
            due = time.monotonic() + GIVEN_UP_AFTER_S
            while not self.is_over.wait(RESEND_S):
                self.is_idle = self.is_idle or time.monotonic() > due
                signal.pthread_kill(thread, number)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Stopping]:
    """Handle the signals in the block, which may raise `Stop`. For the main thread. Fork before,
    not inside the block: it runs a thread."""
    stopping = Stopping()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    kept = {}
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            kept[number] = signal.signal(number, stopping.note)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    thread = threading.Thread(
        target=stopping.insist, args=(reading, threading.get_ident()), daemon=True
    )
    thread.start()
    try:
        yield stopping
    finally:
        stopping.is_heeded = True
        signal.set_wakeup_fd(before)
        stopping.is_over.set()
        os.close(writing)
        thread.join()
        os.close(reading)
        for number, handler in kept.items():
            signal.signal(number, handler)
