"""A byte stream from a console, as numbered lines with times. Pure and bounded; no I/O."""

import codecs
import re
from collections import deque
from typing import NamedTuple

Pattern = str | re.Pattern[str]
MAX_LINES = 20_000
MAX_LINE_CHARS = 8192
# Firmware starts a new line by moving the cursor (CSI ... H, f); other sequences are dropped.
CURSOR = re.compile(r"\x1b\[[0-9;]*[Hf]")
# The second half: the start of a sequence that another sequence interrupts. It is dropped at once,
# as what follows the other one must not complete it.
ESCAPE = re.compile(
    r"\x1b(?:\[[0-9;?=>]*[ -/]*[@-~]|\][^\x07\x1b\r\n]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>c78DEHM]"
    r"|(?=(?:\[[0-9;?=>]*[ -/]*|[()])?\x1b)|(?=\][^\x07\x1b\r\n]*\x1b[^\\]))"
)
UNFINISHED = re.compile(r"\x1b(?:\[[0-9;?=>]*[ -/]*|\][^\x07\x1b\r\n]{0,256}\x1b?|[()])?$")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Line(NamedTuple):
    """One line: its number since the start, the time at which it was complete, and its text."""

    number: int
    at_s: float
    text: str


class LineBuffer:
    """The last `max_lines` non-empty lines, without terminal control sequences."""

    def __init__(self, max_lines: int = MAX_LINES) -> None:
        self.lines: deque[Line] = deque(maxlen=max_lines)
        self.next_number = 0
        self.rest = ""
        self.rest_at_s = 0.0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes, at_s: float) -> list[Line]:
        """Add the bytes that arrived at `at_s`; return the lines that they completed."""
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
        """Return the unfinished line (a prompt, a progress display), if there is one."""
        text = clean_line(UNFINISHED.sub("", self.rest))
        return Line(self.next_number, self.rest_at_s, text) if text else None

    def find(self, pattern: Pattern, since: int, *, is_settled: bool) -> Line | None:
        """Return the first line from number `since` on that matches `pattern`.

        The unfinished line is searched only if it `is_settled`; otherwise more of it may arrive.
        """
        lines = self.since(since)
        if lines and lines[-1].number == self.next_number and not is_settled:
            lines.pop()
        return next((line for line in lines if has_pattern(line.text, pattern)), None)

    def since(self, since: int) -> list[Line]:
        """Return the lines from number `since` on, the unfinished one last."""
        first = self.lines[0].number if self.lines else 0
        skip = max(0, since - first)
        found = [line for index, line in enumerate(self.lines) if index >= skip]
        partial = self.partial()
        return [*found, partial] if partial else found


def clean_line(text: str) -> str:
    """Return `text` without control characters and trailing blanks."""
    return CONTROL.sub("", text).rstrip()


def has_pattern(text: str, pattern: Pattern) -> bool:
    """Return whether `text` contains the literal string, or matches the regular expression."""
    return pattern in text if isinstance(pattern, str) else pattern.search(text) is not None


def show_pattern(pattern: Pattern) -> str:
    """Return `pattern` as it is shown in a message."""
    return repr(pattern) if isinstance(pattern, str) else f"/{pattern.pattern}/"
