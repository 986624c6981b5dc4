"""Every console of a machine, so that a monitor shows what a serial port shows, and the reverse.

/dev/console is only the last console of the kernel's command line. The kernel itself writes to all
that are active, and so does zinit. One that nobody reads loses lines and delays no other.
"""

import os

from zinit.log.console import Console

NOWHERE = -1  # instead of a console that is gone
SCREEN = "tty0"  # the screen that is shown now


class Consoles(Console):
    """/dev/console, and with `find` the machine's other consoles."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._others: list[Console] = []

    def find(self, active: str, devices: str) -> None:
        """Open the other consoles: those that the file `active` names, in the folder `devices`.

        If none of them is a screen, the machine's screen is added.
        """
        for name in other_consoles(read_names(active)):
            path = f"{devices}/{name}"
            if os.path.exists(path):
                self._others.append(Console(path, NOWHERE))

    def write(self, data: bytes) -> None:
        """Write to every console as much as possible without blocking."""
        super().write(data)
        for other in self._others:
            other.write(data)


def other_consoles(active: list[str]) -> list[str]:
    """Return the consoles beside /dev/console, which is the last of `active`."""
    others = active[:-1]
    if active and not any(is_screen(name) for name in active):
        others.append(SCREEN)
    return others


def is_screen(name: str) -> bool:
    """Return whether a console is a virtual terminal: `tty` and a number."""
    return name.startswith("tty") and name[3:].isdigit()


def read_names(path: str) -> list[str]:
    """Return the words in a file; none if it cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read(4096).split()
    except OSError:
        return []
