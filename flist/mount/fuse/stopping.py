"""How a mount is told to end: SIGTERM, SIGINT and SIGHUP are heeded between two requests.

Python looks for signals between its own instructions. One that comes just before the system call
that waits for the next request would be noticed when that ends, and nobody may ever ask again: so a
thread sends it again until it is heeded. One that comes while a request is answered waits for the
answer: an exception there would leave locks taken. An answer that takes very long is given up.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

AGAIN_S = 0.02
GIVEN_UP_AFTER_S = 1.0


class Stop(BaseException):
    """A signal asked us to unmount and end."""


class Stopping:
    """What became of the signals so far. `is_idle` is for the main thread to set: while it is, a
    signal raises `Stop`, once."""

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
        """Send a thread the first signal whose number comes from the pipe `signals`, again and
        again until this is over; nothing comes if it is over without one."""
        for number in os.read(signals, 1):
            due = time.monotonic() + GIVEN_UP_AFTER_S
            while not self.is_over.wait(AGAIN_S):
                self.is_idle = self.is_idle or time.monotonic() > due
                signal.pthread_kill(thread, number)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Stopping]:
    """Handle the signals in the block, which may raise `Stop`. For the main thread, and after a
    fork: it starts a thread."""
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
