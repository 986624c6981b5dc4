"""QEMU's monitor (QMP) for callers without asyncio; a background thread runs the protocol.

Every event is kept with its time of arrival; every call has a deadline.
"""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple, TypeVar

from qemu.errors import MachineEndedError, MachineError, WaitTimeoutError
from qemu.qmp import ExecuteError, QMPClient, QMPError, Runstate

T = TypeVar("T")
MAX_EVENTS = 10_000
COMMAND_DEADLINE_S = 20.0
CLOSE_DEADLINE_S = 5.0
POLL_S = 0.2
# The library also logs the errors that it raises; without a handler Python would print them.
logging.getLogger("qemu.qmp").addHandler(logging.NullHandler())


class Event(NamedTuple):
    """One QMP event: its number since the start, its time of arrival, its name and its data."""

    number: int
    at_s: float
    name: str
    data: Mapping[str, Any]


class Monitor:
    """A QMP session over a connected socket, from `open` to `close`."""

    def __init__(self, link: socket.socket, start_s: float) -> None:
        self._link = link
        self._start_s = start_s
        self._client = QMPClient("machine")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="qmp", daemon=True)
        self._events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._next_number = 0
        self._changed = threading.Condition()
        self._is_closed = False
        self._tasks: list[asyncio.Task[None]] = []

    def open(self, timeout_s: float) -> None:
        """Receive the greeting and negotiate. Raises `MachineError` if QEMU does not answer."""
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        self._call(self._connect(), timeout_s, "greet")

    def close(self) -> None:
        """End the session and the thread; safe to call twice, and before `open`."""
        if self._loop and self._thread.is_alive():
            with contextlib.suppress(MachineError):
                self._call(self._disconnect(), CLOSE_DEADLINE_S, "disconnect")
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=CLOSE_DEADLINE_S)
        self._is_closed = True
        if self._loop and not self._loop.is_running():
            self._loop.close()
        self._link.close()

    def execute(
        self,
        command: str,
        arguments: Mapping[str, object] | None = None,
        *,
        timeout_s: float = COMMAND_DEADLINE_S,
    ) -> Any:
        """Run one QMP command and return its value. Raises `MachineError` if it fails."""
        return self._call(self._client.execute(command, arguments), timeout_s, command)

    def human(self, line: str) -> str:
        """Run a command of the human monitor and return its output."""
        return str(self.execute("human-monitor-command", {"command-line": line}))

    @property
    def position(self) -> int:
        """Return the number of the next event, for `since` in a later wait."""
        with self._changed:
            return self._next_number

    @property
    def is_closed(self) -> bool:
        """Return whether the session has ended."""
        return self._is_closed

    def wait_for_close(self, timeout_s: float) -> bool:
        """Wait for the end of the session and its last events; return whether it has ended."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_closed, timeout_s)

    def events(self, since: int = 0) -> list[Event]:
        """Return the events from number `since` on."""
        with self._changed:
            return [event for event in self._events if event.number >= since]

    def find_event(self, names: tuple[str, ...], since: int = 0) -> Event | None:
        """Return the first event with one of these names from number `since` on."""
        return next((event for event in self.events(since) if event.name in names), None)

    def wait_for_event(
        self,
        names: tuple[str, ...],
        timeout_s: float,
        since: int = 0,
        why_ended: Callable[[], str | None] = lambda: None,
    ) -> Event:
        """Wait for and return the first event with one of these names.

        Raises `MachineEndedError` if the session ends first, `WaitTimeoutError` at the deadline.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.find_event(names, since)
            if found:
                return found
            left_s = deadline - time.monotonic()
            wanted = " or ".join(names)
            if self._is_closed:
                reason = why_ended() or "QEMU closed its monitor"
                raise MachineEndedError(f"no event {wanted}: {reason}; {self._seen()}")
            if left_s <= 0:
                raise WaitTimeoutError(f"no event {wanted} within {timeout_s:g} s; {self._seen()}")
            with self._changed:
                self._changed.wait(min(left_s, POLL_S))

    def _seen(self) -> str:
        names = [f"{event.name} at {event.at_s:.3f} s" for event in self.events()[-8:]]
        return "seen: " + (", ".join(names) or "no event")

    def _run(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, work: Coroutine[Any, Any, T], timeout_s: float, what: str) -> T:
        """Run `work` in the session's thread and return its result by the deadline."""
        if self._loop is None or not self._thread.is_alive():
            work.close()
            raise MachineEndedError(f"cannot {what}: QEMU's monitor is closed")
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, timeout_s), self._loop)
        try:
            return future.result(timeout_s + CLOSE_DEADLINE_S)
        except ExecuteError as error:
            raise MachineError(f"QEMU refused {what}: {error}") from error
        except TimeoutError as error:  # an OSError, so it comes first
            future.cancel()
            raise WaitTimeoutError(f"QEMU did not answer {what} within {timeout_s:g} s") from error
        except (QMPError, OSError, EOFError, asyncio.CancelledError) as error:
            raise MachineEndedError(f"cannot {what}: QEMU's monitor is closed") from error

    async def _connect(self) -> None:
        await self._client.connect(self._link)
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._watch())]

    async def _listen(self) -> None:
        """Keep every event that arrives."""
        async for message in self._client.events:
            self._keep(message)

    async def _watch(self) -> None:
        """Wait for the end of the session, then keep the events that preceded it."""
        while self._client.runstate == Runstate.RUNNING:
            await self._client.runstate_changed()
        for message in self._client.events.clear():
            self._keep(message)
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _keep(self, message: Mapping[str, Any]) -> None:
        at_s = time.monotonic() - self._start_s
        name, data = str(message["event"]), message.get("data") or {}
        with self._changed:
            self._events.append(Event(self._next_number, at_s, name, data))
            self._next_number += 1
            self._changed.notify_all()

    async def _disconnect(self) -> None:
        with contextlib.suppress(QMPError, OSError, EOFError):
            await self._client.disconnect()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
