"""Files are made to survive a power failure by a thread, while the server goes on."""

import os
import queue
import threading
from collections.abc import Callable


class Syncer:
    """One thread, which syncs one file after another."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def sync(
        self, handle: int, sync: Callable[[int], None], failed: Callable[[OSError], None]
    ) -> None:
        """Sync an open file, by a descriptor of its own; tell `failed` of an error."""
        own = os.dup(handle)

        def work() -> None:
            try:
                sync(own)
            except OSError as error:
                failed(error)
            finally:
                os.close(own)

        self.run(work)

    def run(self, work: Callable[[], None]) -> None:
        """Do something, which must not raise, in the thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
            self._thread.start()
        self._queue.put(work)

    def wait(self) -> None:
        """Return when all that was asked for is done."""
        if self._thread is not None:
            done = threading.Event()
            self._queue.put(done.set)
            done.wait()

    def close(self) -> None:
        """Return when all that was asked for is done."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            work()
