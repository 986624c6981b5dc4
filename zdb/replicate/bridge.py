"""From a thread to the loop: functions that use the store run in the loop's thread."""

import contextlib
import queue
import socket
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from zdb.errors import ZdbError

Result = TypeVar("Result")
WAIT_S = 60.0


class Bridge:
    """The loop watches `reader` and calls `work`; the thread calls `run`."""

    def __init__(self) -> None:
        self.reader, self._writer = socket.socketpair()
        self.reader.setblocking(False)
        self._writer.setblocking(False)
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._is_closed = False

    def run(self, function: Callable[[], Result]) -> Result:
        """Run a function in the loop's thread and return what it returns."""
        future: Future[Result] = Future()
        self._calls.put((function, future))
        with contextlib.suppress(OSError):
            self._writer.send(b"x")
        if self._is_closed:
            raise ZdbError("the server stops")
        return future.result(WAIT_S)

    def work(self) -> None:
        """Run what is asked for."""
        with contextlib.suppress(OSError):
            self.reader.recv(1024)
        while not self._calls.empty():
            function, future = self._calls.get()
            try:
                future.set_result(function())
            except Exception as error:
                future.set_exception(error)

    def close(self) -> None:
        """Fail what is asked for, from now on."""
        self._is_closed = True
        while not self._calls.empty():
            self._calls.get()[1].set_exception(ZdbError("the server stops"))
        self.reader.close()
        self._writer.close()
