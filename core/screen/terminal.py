"""Draws lines on a virtual terminal (console_codes(4), ioctl_console(2)).

The terminal is the daemon's own: zinit made it the controlling one, so the daemon may show it.
"""

import contextlib
import fcntl
import os
import struct
import termios

from core.screen.layout import Line

VT_ACTIVATE = 0x5606  # linux/vt.h
SIZE = struct.Struct("4H")  # struct winsize
USUAL = (80, 25)
LARGEST = (500, 200)
BEGIN = "\x1b%G\x1b[0m\x1b[?25l\x1b[?7l"  # UTF-8, no cursor, no wrapping
STYLES = {"plain": "0", "title": "0;7", "good": "0;1;32", "bad": "0;1;31", "dim": "0;36"}


class Terminal:
    """The terminal with the descriptor `handle`; nothing typed on it has an effect."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self._drawn: list[Line] = []

    def open(self) -> None:
        """Take no input: no echo, no signals, and what was typed is dropped."""
        with contextlib.suppress(termios.error):  # a file in tests
            state = termios.tcgetattr(self.handle)
            state[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG)
            termios.tcsetattr(self.handle, termios.TCSAFLUSH, state)
        self._write(BEGIN)

    def show(self, number: int) -> None:
        """Make the terminal the one on the monitor."""
        with contextlib.suppress(OSError):  # a machine without a monitor
            fcntl.ioctl(self.handle, VT_ACTIVATE, number)

    def size(self) -> tuple[int, int]:
        """Return columns and rows."""
        try:
            data = fcntl.ioctl(self.handle, termios.TIOCGWINSZ, bytes(SIZE.size))
        except OSError:
            return USUAL
        rows, columns, *_ = SIZE.unpack(data)
        if not rows or not columns:
            return USUAL
        return min(columns, LARGEST[0]), min(rows, LARGEST[1])

    def draw(self, lines: list[Line], *, is_whole: bool) -> None:
        """Draw the lines that have changed, or all: the kernel may have written over them."""
        before = [] if is_whole or len(self._drawn) != len(lines) else self._drawn
        parts = [] if before else [BEGIN]
        for row, line in enumerate(lines):
            if not before or before[row] != line:
                parts.append(f"\x1b[{row + 1};1H\x1b[{STYLES[line.style]}m{line.text}")
        if parts:
            self._write("".join(parts) + "\x1b[0m")
        self._drawn = lines
        with contextlib.suppress(termios.error):
            termios.tcflush(self.handle, termios.TCIFLUSH)

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(self.handle, data) :]
