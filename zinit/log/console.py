"""The console: zinit's own lines and those of services with `log: console`.

A console that is blocked (Ctrl-S, a full pipe) or hung up loses lines; it never blocks zinit.
"""

import os

FLAGS = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_APPEND


class Console:
    """A console, opened separately so that O_NONBLOCK affects no other process."""

    def __init__(self, path: str, fallback: int = 2) -> None:
        self.path = path
        self.lost = 0
        self._fallback = fallback
        self._fd = self._open()

    def write(self, data: bytes) -> None:
        """Write as much as possible without blocking."""
        try:
            if self.lost:
                note = b"zinit: %d console lines were lost\n" % self.lost
                os.write(self._fd, note)
                self.lost = 0
            os.write(self._fd, data)
        except BlockingIOError:
            self.lost += data.count(b"\n")
        except OSError:
            self._reopen()  # hung up: the next write may succeed
            self.lost += data.count(b"\n")

    def say(self, text: str) -> None:
        """Write a line of zinit itself."""
        self.write(f"zinit: {text}\n".encode(errors="replace"))

    def close(self) -> None:
        """Close the console; later lines go to the fallback."""
        if self._fd != self._fallback:
            os.close(self._fd)
            self._fd = self._fallback

    def _open(self) -> int:
        try:
            return os.open(self.path, FLAGS)
        except OSError:
            return self._fallback  # a socket, or no console at all

    def _reopen(self) -> None:
        self.close()
        self._fd = self._open()


def open_standard(*paths: str) -> None:
    """Open the first usable of `paths` as every descriptor from 0 to 2 that is closed."""
    for path in paths:
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        except OSError:
            continue
        while fd <= 2:
            os.set_inheritable(fd, True)
            fd = os.dup(fd)
        os.close(fd)
        return
