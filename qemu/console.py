"""A machine's serial console: a thread reads it into lines, a log file keeps them."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from qemu.errors import MachineEndedError, WaitTimeoutError
from qemu.lines import Line, LineBuffer, Pattern, show_pattern

TAIL_LINES = 25
POLL_S = 0.2
DRAIN_S = 1.0
SEND_S = 5.0


class Console:
    """Reads a serial port in its own thread, from `start` until the other end closes.

    Every line goes to `log_file` and to `on_line`, and all bytes to `on_data`; the reader thread
    calls both. Times are in seconds since `start_s` on the monotonic clock.
    """

    def __init__(
        self,
        link: socket.socket,
        log_file: Path,
        start_s: float,
        on_line: Callable[[Line], None] | None = None,
        on_data: Callable[[bytes], None] | None = None,
    ) -> None:
        self._link = link
        self._log_file = log_file
        self._start_s = start_s
        self._on_line = on_line
        self._on_data = on_data
        self._buffer = LineBuffer()
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._read, name="console", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def close(self) -> None:
        """Read what has already arrived, then stop and close the port."""
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_WR)
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._link.close()

    def send(self, text: str | bytes) -> None:
        """Type `text` on the serial port.

        Raises `WaitTimeoutError` if the machine takes nothing of it for `SEND_S`, as one does whose
        system does not read, and `MachineEndedError` if the port is closed.
        """
        data = text.encode() if isinstance(text, str) else text
        poller = select.poll()
        poller.register(self._link, select.POLLOUT)
        while data:
            if not poller.poll(SEND_S * 1000):
                raise WaitTimeoutError(f"the machine takes no keys: it reads none for {SEND_S:g} s")
            try:
                data = data[self._link.send(data, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise MachineEndedError("the machine takes no keys: it has ended") from error

    def _read(self) -> None:
        with open(self._log_file, "w", encoding="utf-8") as log:
            try:
                while data := self._receive():
                    self._take(data, log)
            finally:
                with self._changed:
                    partial = self._buffer.partial()
                    self._is_closed = True
                    self._changed.notify_all()
                if partial:
                    log.write(f"[{partial.at_s:10.3f}] {partial.text}\n")

    def _receive(self) -> bytes:
        try:
            return self._link.recv(65536)
        except OSError:
            return b""

    def _take(self, data: bytes, log: TextIO) -> None:
        at_s = self.clock()
        if self._on_data:
            self._on_data(data)
        with self._changed:
            lines = self._buffer.feed(data, at_s)
            self._changed.notify_all()
        log.writelines(f"[{line.at_s:10.3f}] {line.text}\n" for line in lines)
        log.flush()
        if self._on_line:
            for line in lines:
                self._on_line(line)

    def clock(self) -> float:
        """Return the seconds since the machine started, as in the lines' times."""
        return time.monotonic() - self._start_s

    @property
    def position(self) -> int:
        """Return the number of the next line, for `since` in a later wait."""
        with self._changed:
            return self._buffer.next_number

    @property
    def is_closed(self) -> bool:
        """Return whether the other end has closed."""
        return self._is_closed

    def lines(self, since: int = 0) -> list[Line]:
        """Return the buffered lines from number `since` on."""
        with self._changed:
            return self._buffer.since(since)

    def tail(self, count: int = TAIL_LINES) -> str:
        """Return the last lines with their times, for a message."""
        rows = [f"  [{line.at_s:8.3f}] {line.text}" for line in self.lines()[-count:]]
        return "\n".join(rows) or "  (nothing)"

    def wait_for(
        self,
        pattern: Pattern,
        timeout_s: float,
        since: int = 0,
        why_ended: Callable[[], str | None] = lambda: None,
    ) -> Line:
        """Wait for and return the first line from number `since` on that matches `pattern`.

        `why_ended` returns a reason once no more output can come; then this raises
        `MachineEndedError`. At the deadline it raises `WaitTimeoutError`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            reason = why_ended()  # first, so that output from before the end is still found
            with self._changed:
                left_s = deadline - time.monotonic()
                is_over = self._is_closed or left_s <= 0
                is_settled = is_over or self.clock() - self._buffer.rest_at_s >= POLL_S
                found = self._buffer.find(pattern, since, is_settled=is_settled)
                if found:
                    return found
                since = max(since, self._buffer.next_number)
                # After the end the reader may still be catching up, so wait for silence.
                pause_s = min(left_s, DRAIN_S if reason else POLL_S)
                is_over = is_over or (not self._changed.wait(pause_s) and bool(reason))
                is_closed = self._is_closed
            if is_over:
                self._fail(pattern, timeout_s, why_ended(), is_closed)

    def _fail(
        self, pattern: Pattern, timeout_s: float, reason: str | None, is_closed: bool
    ) -> None:
        shown = f"the console showed last:\n{self.tail()}"
        wanted = f"{show_pattern(pattern)} on the console"
        if reason or is_closed:
            raise MachineEndedError(f"no {wanted}: {reason or 'the console was closed'}; {shown}")
        raise WaitTimeoutError(f"no {wanted} within {timeout_s:g} s; {shown}")
