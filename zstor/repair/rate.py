"""A limit on how many bytes a second repair may move, so that users don't notice it."""

import threading
import time


class Rate:
    """Lets `take` return so that at most `per_second` bytes a second are taken; None: no limit."""

    def __init__(self, per_second: float | None = None) -> None:
        self.per_second = per_second
        self.lock = threading.Lock()
        self.free_at = time.monotonic()
        self.stopped = threading.Event()

    def take(self, count: int) -> None:
        """Wait until those who took before have had their time."""
        if self.per_second is None:
            return
        with self.lock:
            start = max(self.free_at, time.monotonic())
            self.free_at = start + count / self.per_second
        self.stopped.wait(max(0.0, start - time.monotonic()))

    def stop(self) -> None:
        """Let nobody wait any more."""
        self.stopped.set()
