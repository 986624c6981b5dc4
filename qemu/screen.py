"""Reads a machine's screen: VGA text memory, and pictures.

Text mode's memory is a window of 32 KiB at physical address 0xb8000, with cells of two bytes
(character in code page 437, attribute); the screen is 80 x 25 of them. A console scrolls by moving
the cell at which the screen starts, in two registers of the CRT controller (VGA: index port 0x3d4,
registers 0x0c and 0x0d).
"""

import re
import time
from collections.abc import Callable
from pathlib import Path

from qemu.errors import MachineEndedError, MachineError, WaitTimeoutError
from qemu.monitor import Monitor

TEXT_ADDRESS = 0xB8000
COLUMNS = 80
ROWS = 25
TEXT_BYTES = COLUMNS * ROWS * 2
WINDOW_BYTES = 32 << 10
CRT_INDEX, CRT_DATA = 0x3D4, 0x3D5
START_HIGH, START_LOW = 0x0C, 0x0D
READS_MAX = 20
PORT_VALUE = re.compile(r"= (0x[0-9a-fA-F]+)")
POLL_S = 0.25


class Screen:
    """The screen of one running machine."""

    def __init__(
        self,
        monitor: Monitor,
        work: Path,
        wait_for_end: Callable[[float], bool],
        why_ended: Callable[[], str | None],
    ) -> None:
        self._monitor = monitor
        self._work = work
        self._wait_for_end = wait_for_end
        self._why_ended = why_ended

    def text(self) -> str:
        """Return the text on the VGA screen (from BIOS, boot loaders, a kernel's text console)."""
        path = self._work / "vga-memory"
        where = {"val": TEXT_ADDRESS, "size": WINDOW_BYTES, "filename": str(path)}
        self._monitor.execute("pmemsave", where)
        return decode_text(shown_part(path.read_bytes(), self._start_cell()))

    def _start_cell(self) -> int:
        """Return the cell of the window at which the screen starts.

        The guest may use the same index register meanwhile, so it is read until two answers agree.
        """
        before = -1
        for _ in range(READS_MAX):
            index = self._read_port(CRT_INDEX)
            high, low = (self._read_register(number) for number in (START_HIGH, START_LOW))
            self._monitor.human(f"o /b {CRT_INDEX:#x} {index:#x}")
            start = high << 8 | low
            if start == before:
                break
            before = start
        return before

    def _read_register(self, number: int) -> int:
        self._monitor.human(f"o /b {CRT_INDEX:#x} {number:#x}")
        return self._read_port(CRT_DATA)

    def _read_port(self, port: int) -> int:
        said = self._monitor.human(f"i /b {port:#x}")
        found = PORT_VALUE.search(said)
        if not found:
            raise MachineError(f"cannot read port {port:#x}: {said.strip()}")
        return int(found[1], 16)

    def wait_for_text(self, text: str, timeout_s: float) -> str:
        """Wait until the screen shows `text`; return the screen's text."""
        deadline = time.monotonic() + timeout_s
        while True:
            screen = self.text()
            if text in screen:
                return screen
            shown = f"it showed last:\n{screen}"
            reason = self._why_ended()
            if reason:
                raise MachineEndedError(f"no {text!r} on the screen: {reason}; {shown}")
            if time.monotonic() > deadline:
                raise WaitTimeoutError(f"no {text!r} on the screen within {timeout_s:g} s; {shown}")
            self._wait_for_end(POLL_S)

    def save(self, path: Path) -> Path:
        """Save a picture as PNG, or as PPM with that suffix; return its path."""
        try:
            self._monitor.execute("screendump", {"filename": str(path), "format": "png"})
        except (MachineEndedError, WaitTimeoutError):
            raise
        except MachineError:  # this QEMU was built without PNG
            path = path.with_suffix(".ppm")
            self._monitor.execute("screendump", {"filename": str(path)})
        return path


def shown_part(window: bytes, start: int) -> bytes:
    """Return the bytes of the screen that starts at a cell of the window, which wraps around."""
    at = 2 * start % WINDOW_BYTES
    return (window[at:] + window[:at])[:TEXT_BYTES]


def decode_text(memory: bytes) -> str:
    """Return the rows of VGA text memory without trailing blanks and trailing empty rows."""
    characters = memory[0:TEXT_BYTES:2].replace(b"\0", b" ").decode("cp437")
    rows = [characters[at : at + COLUMNS].rstrip() for at in range(0, len(characters), COLUMNS)]
    return "\n".join(rows).rstrip()
