"""The parent of several workers: it has the listener and waits for signals and for deaths.

It takes no requests and starts no threads, so that a fork copies nothing half done.
"""

import contextlib
import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from common.errors import ZosError
from serving.workers.samples import Slots
from serving.workers.worker import RELOAD, STARTED, STOP, Worker

FIRST_WAIT_S, MAX_WAIT_S = 0.1, 30.0
STEADY_S = 60.0
"""A worker that has served for so long did not die of what it does at its start."""
GRACE_S = 10.0
HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@dataclass
class Slot:
    """The place of one worker; `pid` is 0 while there is none."""

    number: int
    pid: int = 0
    channel: socket.socket | None = None
    since: float = 0.0
    deaths: int = 0  # one soon after the other
    start_at: float = 0.0
    has_served: bool = False

    def tell(self, word: bytes) -> None:
        """Send a word to the worker; if it is dying, that is noticed otherwise."""
        if self.channel is not None:
            with contextlib.suppress(OSError):
                self.channel.send(word, socket.MSG_DONTWAIT)

    def listen(self) -> None:
        """Take what the worker says: that it serves."""
        if self.channel is not None:
            with contextlib.suppress(OSError):
                self.has_served |= self.channel.recv(1, socket.MSG_DONTWAIT) == STARTED

    def close(self) -> None:
        """Forget the worker."""
        if self.channel is not None:
            self.channel.close()
        self.pid, self.channel = 0, None


class Parent:
    """Starts `count` workers and looks after them. `stop_s` is the time that a stop may take."""

    def __init__(self, listener: socket.socket, count: int, stop_s: float, log: Any) -> None:
        self.listener = listener
        self.stop_s = stop_s
        self.log = log
        self.samples = Slots(count)
        self.slots = [Slot(number) for number in range(count)]
        self.stop_at: float | None = None

    def run(self, announce: Callable[[], None]) -> Worker | None:
        """Return None at the end; in each worker, return at once, and say which it is.

        `announce` is called once all are started.
        Raises `ZosError` if a worker cannot be started, or ends before any has served.
        """
        with blocked_signals() as before:
            try:
                for slot in self.slots:
                    worker = self.start(slot, before)
                    if worker:
                        return worker
                announce()
                return self.watch(before)
            except BaseException:
                self.kill()
                raise

    def start(self, slot: Slot, before: set[int]) -> Worker | None:
        """Fork a worker; return it in the new process."""
        ours, theirs = socket.socketpair()
        gc.collect()
        gc.freeze()  # what all share stays shared: nobody's collector writes to it
        try:
            slot.pid = os.fork()
        except OSError as error:
            ours.close()
            theirs.close()
            raise ZosError(f"cannot start a worker: {error.strerror}") from error
        if slot.pid == 0:
            for other in self.slots:
                other.close()  # else a worker would not notice its parent's end
            ours.close()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return Worker(slot.number, theirs, self.samples)
        theirs.close()
        slot.channel, slot.since, slot.start_at = ours, time.monotonic(), 0.0
        return None

    def watch(self, before: set[int]) -> Worker | None:
        """Wait for signals until all workers have ended."""
        while any(slot.pid for slot in self.slots) or self.stop_at is None:
            found = signal.sigtimedwait(HEARD, self.choose_wait())
            if found and found.si_signo in (signal.SIGTERM, signal.SIGINT):
                self.stop()
            elif found and found.si_signo == signal.SIGHUP:
                for slot in self.slots:
                    slot.tell(RELOAD)
            self.reap()
            now = time.monotonic()
            if self.stop_at is not None and now > self.stop_at:
                self.log.error("workers did not stop in time, and are killed")
                self.kill()
            for slot in self.slots:
                if slot.start_at and now >= slot.start_at and self.stop_at is None:
                    worker = self.restart(slot, before)
                    if worker:
                        return worker
        return None

    def choose_wait(self) -> float:
        """Return for how long nothing need be done without a signal."""
        now = time.monotonic()
        times = [slot.start_at for slot in self.slots if slot.start_at and self.stop_at is None]
        times += [self.stop_at] if self.stop_at is not None else []
        return max(0.0, min([at - now for at in times], default=STEADY_S)) + 0.01

    def stop(self) -> None:
        """Tell the workers to stop; at a second signal, at once."""
        is_first = self.stop_at is None
        self.stop_at = time.monotonic() + (self.stop_s if is_first else 0.0) + GRACE_S
        self.listener.close()
        for slot in self.slots:
            slot.tell(STOP)

    def reap(self) -> None:
        """Note which workers have ended."""
        for slot in self.slots:
            if not slot.pid:
                continue
            pid, status = os.waitpid(slot.pid, os.WNOHANG)
            if pid:
                self.bury(slot, os.waitstatus_to_exitcode(status))

    def bury(self, slot: Slot, status: int) -> None:
        """Decide when a worker that has ended is replaced."""
        pid = slot.pid
        for other in self.slots:
            other.listen()
        slot.close()
        self.samples.bury(slot.number)
        if self.stop_at is not None:
            return
        how = f"signal {-status}" if status < 0 else f"status {status}"
        if not any(other.has_served for other in self.slots):
            raise ZosError(f"cannot start the server: a worker ended with {how}")
        now = time.monotonic()
        slot.deaths = 0 if now - slot.since > STEADY_S else slot.deaths + 1
        wait_s = min(MAX_WAIT_S, FIRST_WAIT_S * 2**slot.deaths)
        slot.start_at = now + wait_s
        self.log.error("worker ended", worker=slot.number, pid=pid, how=how, restart_in=wait_s)

    def restart(self, slot: Slot, before: set[int]) -> Worker | None:
        """Replace a worker, later if the system refuses it; return it in the new process."""
        try:
            worker = self.start(slot, before)
        except ZosError as error:
            slot.start_at = time.monotonic() + MAX_WAIT_S
            self.log.error("worker not restarted", worker=slot.number, error=error.message)
            return None
        if worker is None:
            self.log.info("worker restarted", worker=slot.number, pid=slot.pid)
        return worker

    def kill(self) -> None:
        """End all workers at once, and wait for that."""
        for slot in self.slots:
            if slot.pid:
                os.kill(slot.pid, signal.SIGKILL)
                os.waitpid(slot.pid, 0)
                slot.close()


@contextlib.contextmanager
def blocked_signals() -> Iterator[set[int]]:
    """Keep signals until they are asked for; give the mask as it was."""
    before = {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)}
    try:
        yield before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
