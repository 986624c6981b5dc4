"""Reads a machine's screen: VGA text memory, and pictures.

Text mode's memory is 80 x 25 cells of two bytes (character in code page 437, attribute)
at physical address 0xb8000, the layout of every VGA card.
"""

import time
from collections.abc import Callable
from pathlib import Path

from qemu.errors import MachineEndedError, MachineError, WaitTimeoutError
from qemu.monitor import Monitor

TEXT_ADDRESS = 0xB8000
COLUMNS = 80
ROWS = 25
TEXT_BYTES = COLUMNS * ROWS * 2
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
        """Return the text in VGA memory (from BIOS, boot loaders, a kernel's text console)."""
        path = self._work / "vga-memory"
        where = {"val": TEXT_ADDRESS, "size": TEXT_BYTES, "filename": str(path)}
        self._monitor.execute("pmemsave", where)
        return decode_text(path.read_bytes())

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


def decode_text(memory: bytes) -> str:
    """Return the rows of VGA text memory without trailing blanks and trailing empty rows."""
    characters = memory[0:TEXT_BYTES:2].replace(b"\0", b" ").decode("cp437")
    rows = [characters[at : at + COLUMNS].rstrip() for at in range(0, len(characters), COLUMNS)]
    return "\n".join(rows).rstrip()
