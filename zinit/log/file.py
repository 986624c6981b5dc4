"""A rotated log file: `web.log`, then `web.log.1`, `web.log.2` and so on."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MODE = 0o640


class LogFile:
    """Appends lines; lines that cannot be written are lost, and that is reported once."""

    def __init__(
        self, path: str, size_bytes: int, keep: int, report: "Callable[[str], None]"
    ) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self.keep = keep
        self._report = report
        self._fd = -1
        self._used = 0
        self._is_failing = False

    def write(self, lines: list[bytes]) -> None:
        """Append lines; a file holds at most `size_bytes`, or one longer line."""
        try:
            if self._fd < 0:
                self._open()
            data = b""
            for line in lines:
                if self._used + len(data) + len(line) + 1 > self.size_bytes:
                    self._append(data)
                    data = b""
                    if self._used:
                        self._rotate()
                data += line + b"\n"
            self._append(data)
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                self._report(f"cannot write {self.path}: {error.strerror}; lines are lost")
            self._is_failing = True

    def _append(self, data: bytes) -> None:
        while data:  # a full disk takes part of it, then fails
            count = os.write(self._fd, data)
            self._used += count
            data = data[count:]

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        self._fd = os.open(self.path, flags | os.O_NONBLOCK, MODE)
        self._used = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        """Rename every file to the next number, drop the last, begin a new one."""
        self.close()
        for number in range(self.keep - 1, 0, -1):
            if os.path.exists(f"{self.path}.{number}"):
                os.replace(f"{self.path}.{number}", f"{self.path}.{number + 1}")
        if self.keep:
            os.replace(self.path, f"{self.path}.1")
        else:
            os.unlink(self.path)
        self._open()
