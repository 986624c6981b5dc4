"""Several disks: a process serves each, and this one starts them anew when they end.

A disk that fails concerns only its own process. The parent starts no threads, so that a fork copies
nothing half done, and does nothing but wait.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from common.errors import run_command

FIRST_WAIT_S, MAX_WAIT_S = 1.0, 30.0
STEADY_S = 60.0
"""A process that has served for so long did not end because of its start."""
HEARD = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}


@dataclass
class Slot:
    """The place of one process; `pid` is 0 while there is none."""

    number: int
    pid: int = 0
    since: float = 0.0
    start_at: float = 0.0
    deaths: int = 0  # one soon after the other

    def bury(self, now: float) -> float:
        """Note that the process has ended; return in how many seconds the next one starts."""
        self.pid = 0
        self.deaths = 1 if now - self.since >= STEADY_S else self.deaths + 1
        wait = min(MAX_WAIT_S, FIRST_WAIT_S * 2.0 ** (self.deaths - 1))
        self.start_at = now + wait
        return wait


class Supervisor:
    """Keeps `count` processes running, each of which calls `serve` with its number.

    `serve` gets a descriptor, too, at whose end of file it must stop: this process is gone then.
    """

    def __init__(self, count: int, serve: Callable[[int, int], int], stop_s: float) -> None:
        self.slots = [Slot(number) for number in range(count)]
        self.serve = serve
        self.stop_s = stop_s
        self.lifeline, self._held = os.pipe2(os.O_CLOEXEC)

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; return 0 if all processes have stopped in time."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        try:
            while True:
                for slot in self.slots:
                    if not slot.pid and time.monotonic() >= slot.start_at:
                        self.start(slot)
                if self.wait(self.pause()):
                    return self.stop()
                self.reap()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def start(self, slot: Slot) -> None:
        """Start the process of a slot."""
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            slot.pid, slot.since = pid, time.monotonic()
            return
        status = 1
        try:
            os.close(self._held)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
            status = run_command(lambda _: self.serve(slot.number, self.lifeline), [], "zos zdb")
        finally:
            sys.stdout.flush()
            os._exit(status)

    def pause(self) -> float:
        """Return how long nothing has to be started."""
        now = time.monotonic()
        return max(0.0, min((s.start_at - now for s in self.slots if not s.pid), default=60.0))

    def wait(self, seconds: float) -> bool:
        """Wait for a signal; return whether it says that this is the end."""
        seen = signal.sigtimedwait(HEARD, seconds)
        return seen is not None and seen.si_signo != signal.SIGCHLD

    def reap(self) -> None:
        """Take note of the processes that have ended."""
        for slot in self.slots:
            if slot.pid and os.waitpid(slot.pid, os.WNOHANG)[0]:
                wait = slot.bury(time.monotonic())
                sys.stderr.write(f"disk {slot.number}: its process ended; next in {wait:g} s\n")

    def stop(self) -> int:
        """Stop all processes; kill those that take too long."""
        deadline = time.monotonic() + self.stop_s
        self.tell(signal.SIGTERM)
        while any(slot.pid for slot in self.slots) and time.monotonic() < deadline:
            signal.sigtimedwait({signal.SIGCHLD}, max(0.0, deadline - time.monotonic()))
            self.reap_last(os.WNOHANG)
        late = [slot for slot in self.slots if slot.pid]
        self.tell(signal.SIGKILL)
        self.reap_last(0)
        for slot in late:
            sys.stderr.write(f"disk {slot.number}: its process did not stop, and was killed\n")
        return 1 if late else 0

    def tell(self, number: int) -> None:
        """Send a signal to all processes; none of them is reaped yet, so each pid is its own."""
        for slot in self.slots:
            if slot.pid:
                os.kill(slot.pid, number)

    def reap_last(self, how: int) -> None:
        """Take note of the processes that have ended; with `how` 0 wait for them."""
        for slot in self.slots:
            if slot.pid and os.waitpid(slot.pid, how)[0]:
                slot.pid = 0
