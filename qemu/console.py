"""The serial console as lines with time stamps.

`ConsoleBuffer` is pure: bytes in, lines out, bounded. `Console` puts a thread, a log file and
waiting with a deadline around it.
"""

import codecs
import contextlib
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TextIO

from qemu.errors import MachineEndedError, WaitTimeoutError

Pattern = str | re.Pattern[str]
MAX_LINES = 20_000
MAX_LINE_CHARS = 8192
TAIL_LINES = 25
POLL_S = 0.2
DRAIN_S = 1.0
# Moving the cursor (CSI ... H, f) is how firmware starts a new line; other sequences are dropped.
CURSOR = re.compile(r"\x1b\[[0-9;]*[Hf]")
ESCAPE = re.compile(
    r"\x1b(?:\[[0-9;?=>]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>c78DEHM])"
)
UNFINISHED = re.compile(r"\x1b(?:\[[0-9;?=>]*[ -/]*|\][^\x07\x1b]{0,256}|[()])?$")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Line(NamedTuple):
    """One line of the console: its number since the start, when it was whole, and its text."""

    number: int
    at_s: float
    text: str


class ConsoleBuffer:
    """The last `MAX_LINES` lines that are not empty, without terminal control sequences."""

    def __init__(self, max_lines: int = MAX_LINES) -> None:
        self.lines: deque[Line] = deque(maxlen=max_lines)
        self.next_number = 0
        self.rest = ""
        self.rest_at_s = 0.0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes, at_s: float) -> list[Line]:
        """Take what arrived at `at_s`; return the lines that it completed."""
        text = self.rest + self._decoder.decode(data)
        text = ESCAPE.sub("", CURSOR.sub("\n", text)).replace("\r", "\n")
        *whole, rest = text.split("\n")
        if len(rest) > MAX_LINE_CHARS and not UNFINISHED.search(rest):
            whole, rest = [*whole, rest], ""
        self.rest, self.rest_at_s = rest, at_s
        return [self._append(clean, at_s) for clean in map(clean_line, whole) if clean]

    def _append(self, text: str, at_s: float) -> Line:
        line = Line(self.next_number, at_s, text)
        self.next_number += 1
        self.lines.append(line)
        return line

    def partial(self) -> Line | None:
        """Return the line that is not ended yet (a prompt, a progress display), if any."""
        text = clean_line(UNFINISHED.sub("", self.rest))
        return Line(self.next_number, self.rest_at_s, text) if text else None

    def find(self, pattern: Pattern, since: int, *, is_settled: bool) -> Line | None:
        """Return the first line from number `since` on that has `pattern`.

        The unfinished line counts only when it `is_settled`: otherwise more of it is to come.
        """
        lines = self.since(since)
        if lines and lines[-1].number == self.next_number and not is_settled:
            lines.pop()
        return next((line for line in lines if has_pattern(line.text, pattern)), None)

    def since(self, since: int) -> list[Line]:
        """Return the lines kept from number `since` on, the unfinished one last."""
        first = self.lines[0].number if self.lines else 0
        skip = max(0, since - first)
        found = [line for index, line in enumerate(self.lines) if index >= skip]
        partial = self.partial()
        return [*found, partial] if partial else found


def clean_line(text: str) -> str:
    """Return `text` without control characters and blanks at its end."""
    return CONTROL.sub("", text).rstrip()


def has_pattern(text: str, pattern: Pattern) -> bool:
    """Tell whether `text` contains the literal string, or matches the regular expression."""
    return pattern in text if isinstance(pattern, str) else pattern.search(text) is not None


def show_pattern(pattern: Pattern) -> str:
    """Return `pattern` as it is shown in a message."""
    return repr(pattern) if isinstance(pattern, str) else f"/{pattern.pattern}/"


class Console:
    """Reads a serial port in a thread of its own, from `start` until the other side closes.

    Every line goes to `log_file` and to `on_line` (called in the reader thread), with seconds
    since `start_s` on the monotonic clock.
    """

    def __init__(
        self,
        link: socket.socket,
        log_file: Path,
        start_s: float,
        on_line: Callable[[Line], None] | None = None,
    ) -> None:
        self._link = link
        self._log_file = log_file
        self._start_s = start_s
        self._on_line = on_line
        self._buffer = ConsoleBuffer()
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._read, name="console", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading, after what is already there, and close the port."""
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_WR)
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._link.close()

    def send(self, text: str) -> None:
        """Type `text` on the serial port."""
        self._link.sendall(text.encode())

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
        with self._changed:
            lines = self._buffer.feed(data, at_s)
            self._changed.notify_all()
        log.writelines(f"[{line.at_s:10.3f}] {line.text}\n" for line in lines)
        log.flush()
        if self._on_line:
            for line in lines:
                self._on_line(line)

    def clock(self) -> float:
        """Return the seconds since the machine was started, on the clock of the lines' times."""
        return time.monotonic() - self._start_s

    @property
    def position(self) -> int:
        """Return the number that the next line will have: a `since` for later waits."""
        with self._changed:
            return self._buffer.next_number

    @property
    def is_closed(self) -> bool:
        """Tell whether nothing more can come."""
        return self._is_closed

    def lines(self, since: int = 0) -> list[Line]:
        """Return the lines kept, from number `since` on."""
        with self._changed:
            return self._buffer.since(since)

    def tail(self, count: int = TAIL_LINES) -> str:
        """Return the last lines, each with its time, as they are shown in a message."""
        rows = [f"  [{line.at_s:8.3f}] {line.text}" for line in self.lines()[-count:]]
        return "\n".join(rows) or "  (nothing)"

    def wait_for(
        self,
        pattern: Pattern,
        timeout_s: float,
        since: int = 0,
        why_ended: Callable[[], str | None] = lambda: None,
    ) -> Line:
        """Return the first line with `pattern`, from number `since` on, waiting for it to come.

        `why_ended` is asked now and then, and tells why nothing more will come. Raises
        `MachineEndedError` then, and `WaitTimeoutError` at the deadline.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            reason = why_ended()  # asked first: what came before the end is still found
            with self._changed:
                left_s = deadline - time.monotonic()
                is_over = self._is_closed or left_s <= 0
                is_settled = is_over or self.clock() - self._buffer.rest_at_s >= POLL_S
                found = self._buffer.find(pattern, since, is_settled=is_settled)
                if found:
                    return found
                since = max(since, self._buffer.next_number)
                # After the end the reader may still be catching up: silence decides.
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
