"""The log ring: the last lines of every service, bounded in lines and in bytes.

A line is bytes without its newline and with its mark: `[+] name: text` for stdout, `[-] name: text`
for stderr. Lines have increasing sequence numbers. A reader keeps the number of the next line it
wants, so a slow reader costs nothing and learns how many lines it missed.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LINE_LIMIT = 8192
BYTES_LIMIT = 4 << 20


class Ring:
    """The last lines of all services."""

    __slots__ = ("_lines", "bytes_limit", "capacity", "end", "size_bytes", "start")

    def __init__(self, capacity: int = 2000, bytes_limit: int = BYTES_LIMIT) -> None:
        self.capacity = max(capacity, 1)
        self.bytes_limit = bytes_limit
        self.start = 0  # sequence number of the oldest line that is kept
        self.end = 0  # sequence number that the next line gets
        self.size_bytes = 0
        self._lines: dict[int, bytes] = {}

    def append(self, line: bytes) -> None:
        """Add `line` and drop the oldest lines that exceed the limits."""
        self._lines[self.end] = line
        self.end += 1
        self.size_bytes += len(line)
        while self.end - self.start > self.capacity or self.size_bytes > self.bytes_limit:
            self.size_bytes -= len(self._lines.pop(self.start))
            self.start += 1

    def skip(self, count: int) -> None:
        """Drop all lines and count `count` new ones that would have been dropped at once."""
        self._lines.clear()
        self.size_bytes = 0
        self.end += count
        self.start = self.end

    def read(self, cursor: int, limit: int) -> tuple[list[bytes], int, int]:
        """Return up to `limit` lines from `cursor`, the next cursor, and how many were missed."""
        first = max(cursor, self.start)
        last = min(first + limit, self.end)
        lines = [self._lines[number] for number in range(first, last)]
        return lines, last, first - cursor

    def lines(self) -> list[bytes]:
        """Return all lines, oldest first."""
        return list(self._lines.values())

    def dump(self) -> "dict[str, object]":
        """Return the lines and the next sequence number."""
        lines = [line.decode("latin-1") for line in self._lines.values()]
        return {"lines": lines, "end": self.end}

    def restore(self, state: "dict[str, Any]") -> None:
        """Continue with the lines and sequence numbers that `dump` returned."""
        lines = state["lines"]
        self.start = self.end = max(0, int(state["end"]) - len(lines))
        for line in lines:
            self.append(line.encode("latin-1"))


class LineCutter:
    """Cuts the bytes of one stream into lines of at most `LINE_LIMIT` bytes."""

    __slots__ = ("_rest",)

    def __init__(self, rest: bytes = b"") -> None:
        self._rest = rest

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes; longer lines are cut at the limit."""
        *lines, rest = (self._rest + data).split(b"\n")
        while len(rest) > LINE_LIMIT:
            lines.append(rest[:LINE_LIMIT])
            rest = rest[LINE_LIMIT:]
        self._rest = rest
        if data and max(map(len, lines), default=0) > LINE_LIMIT:
            lines = [part for line in lines for part in cut(line)]
        return lines

    def flush(self) -> list[bytes]:
        """Return the incomplete line, if there is one."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []

    @property
    def rest(self) -> bytes:
        """The incomplete line."""
        return self._rest


def cut(line: bytes) -> list[bytes]:
    """Return `line` in pieces of at most `LINE_LIMIT` bytes."""
    return [line[at : at + LINE_LIMIT] for at in range(0, len(line), LINE_LIMIT)] or [line]


def is_line_of(line: bytes, name: str) -> bool:
    """Return whether `line` is from service `name` (its probe logs as `name/test`)."""
    return line.startswith((f"[+] {name}: ".encode(), f"[-] {name}: ".encode()))
