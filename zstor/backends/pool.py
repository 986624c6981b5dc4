"""Connections to all backends, kept between calls, and threads that use them side by side."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from zstor.backends.connection import SHORT, Connection, Patience
from zstor.backends.replies import Reply
from zstor.errors import BackendError, UnreachableError
from zstor.model import Backend

T = TypeVar("T")
THREADS = 64


class Pool:
    """Calls backends. A backend that did not answer is left alone for some seconds."""

    def __init__(self, patience: Patience | None = None) -> None:
        self.patience = patience or Patience()
        self.lock = threading.Lock()
        self.idle: dict[Backend, list[Connection]] = {}
        self.open: set[Connection] = set()
        self.dead: dict[Backend, tuple[float, UnreachableError]] = {}
        self.threads = ThreadPoolExecutor(THREADS, "zstor")
        self.is_closed = False

    def __enter__(self) -> "Pool":
        """Return the pool."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything; calls that are under way fail at once.

        Their threads close the connections that they use; one that is still connecting is not
        waited for.
        """
        with self.lock:
            self.is_closed = True
            idle = {connection for kept in self.idle.values() for connection in kept}
            busy, self.open, self.idle = self.open - idle, set(), {}
        for connection in idle:
            connection.close()
        for connection in busy:
            connection.shut()
        self.threads.shutdown(wait=False, cancel_futures=True)

    def call(self, backend: Backend, *words: bytes | str, most: int = SHORT) -> Reply:
        """Return the reply of a backend to one command.

        A kept connection that has been closed meanwhile is replaced once.
        """
        connection, is_kept = self._take(backend)
        try:
            reply = connection.call(*words, most=most)
        except UnreachableError as error:
            self._drop(connection)
            if is_kept and isinstance(error.__cause__, ConnectionError):
                self.forget(backend)
                return self.call(backend, *words, most=most)
            self._mark(backend, error)
            raise
        except BaseException:
            self._drop(connection)
            raise
        self._give_back(backend, connection)
        return reply

    def _take(self, backend: Backend) -> tuple[Connection, bool]:
        """Return a connection, and whether it has been used before."""
        with self.lock:
            if self.is_closed:
                raise UnreachableError(f"cannot reach {backend.place}: interrupted")
            until, error = self.dead.get(backend, (0.0, None))
            if error is not None and time.monotonic() < until:
                raise UnreachableError(error.message)
            if kept := self.idle.get(backend):
                return kept.pop(), True
        try:
            connection = Connection(backend, self.patience)
        except UnreachableError as error:
            self._mark(backend, error)
            raise
        with self.lock:
            if not self.is_closed:
                self.open.add(connection)
                self.dead.pop(backend, None)
                return connection, False
        connection.close()
        raise UnreachableError(f"cannot reach {backend.place}: interrupted")

    def _give_back(self, backend: Backend, connection: Connection) -> None:
        with self.lock:
            if not self.is_closed:
                self.idle.setdefault(backend, []).append(connection)
                return
        connection.close()

    def _drop(self, connection: Connection) -> None:
        with self.lock:
            self.open.discard(connection)
        connection.close()

    def forget(self, backend: Backend) -> None:
        """Close what is kept for a backend: it has been started anew."""
        with self.lock:
            kept = self.idle.pop(backend, [])
        for connection in kept:
            self._drop(connection)

    def _mark(self, backend: Backend, error: UnreachableError) -> None:
        with self.lock:
            self.dead[backend] = (time.monotonic() + self.patience.rest_s, error)

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Run a call in a thread."""
        return self.threads.submit(call)

    def run(self, calls: Sequence[Callable[[], T]]) -> list[T | BackendError]:
        """Return what each call returns, or the error of its backend, in their order."""
        results = self.gather(calls, lambda _: False)
        return [results[i] for i in range(len(calls))]

    def gather(
        self,
        calls: Sequence[Callable[[], T]],
        is_enough: Callable[[dict[int, T | BackendError]], bool],
        grace_s: float = 0,
    ) -> dict[int, T | BackendError]:
        """Return the outcomes of calls by number, as soon as they are enough.

        The others have `grace_s` more; what has not begun by then is cancelled.
        """
        waiting: dict[Future[T], int] = {self.submit(call): i for i, call in enumerate(calls)}
        found: dict[int, T | BackendError] = {}
        deadline = None
        while waiting and (deadline is None or time.monotonic() < deadline):
            left = None if deadline is None else max(0, deadline - time.monotonic())
            done, _ = wait(waiting, left, FIRST_COMPLETED)
            for future in done:
                outcome = _outcome(future)
                found[waiting.pop(future)] = outcome
            if deadline is None and is_enough(found):
                deadline = time.monotonic() + grace_s
        for future in waiting:
            future.cancel()
        return found


def _outcome(future: Future[T]) -> T | BackendError:
    try:
        return future.result()
    except BackendError as error:
        return error
