"""The user's terminal: its keys go to one machine's console, whose output it shows.

The output of the other machines is kept, and the end of it is shown when one of them is chosen.
"""

import contextlib
import os
import select
import termios
import threading
from collections.abc import Callable, Iterator, Sequence

from qemu.errors import MachineError
from qemu.interactive.keys import HELP, Choose, Help, Keys, Quit, Typed
from qemu.machine import QemuMachine

KEPT_BYTES = 4096  # shown of a machine that is chosen: about a screen
READ_BYTES = 4096
LOOK_S = 0.2
IFLAG, LFLAG, CC = 0, 3, 6  # indexes of termios' list


class Terminal:
    """Shares one keyboard and one screen, both descriptors, among the consoles of machines."""

    def __init__(self, keyboard: int, screen: int, talk: Callable[[str], None]) -> None:
        self._keyboard = keyboard
        self._screen = screen
        self._talk = talk
        self._chosen = 0
        self._kept: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def data_taker(self, number: int) -> Callable[[bytes], None]:
        """Return the function that takes the output of machine `number`, from 0."""

        def take(data: bytes) -> None:
            with self._lock:
                self._kept[number] = (self._kept.get(number, b"") + data)[-KEPT_BYTES:]
                if number == self._chosen:
                    self._write(data)

        return take

    def serve(self, machines: Sequence[QemuMachine], is_over: Callable[[], bool]) -> None:
        """Pass keys on until the user ends it, no machine runs, or `is_over`."""
        keys = Keys()
        has_keyboard = True
        with raw_keys(self._keyboard):
            while not is_over() and any(machine.is_running for machine in machines):
                self._leave_ended(machines)
                watched = [self._keyboard] if has_keyboard else []
                if not select.select(watched, [], [], LOOK_S)[0]:
                    continue
                data = os.read(self._keyboard, READ_BYTES)
                has_keyboard = bool(data)
                for wish in keys.feed(data):
                    if isinstance(wish, Quit):
                        return
                    self._do(wish, machines)

    def _leave_ended(self, machines: Sequence[QemuMachine]) -> None:
        """Choose a machine that runs if the chosen one has ended."""
        if machines[self._chosen].is_running:
            return
        self._talk(f"machine {self._chosen + 1} has ended")
        for number, machine in enumerate(machines):
            if machine.is_running:
                self._choose(number)
                return

    def _do(self, wish: Typed | Choose | Help, machines: Sequence[QemuMachine]) -> None:
        match wish:
            case Typed(data):
                try:
                    machines[self._chosen].send_console(data)
                except MachineError as error:
                    self._talk(error.message)
            case Choose(number) if number <= len(machines) and machines[number - 1].is_running:
                self._choose(number - 1)
            case Choose(number):
                self._talk(f"machine {number} does not run")
            case Help():
                self._talk(HELP)

    def _choose(self, number: int) -> None:
        with self._lock:
            self._chosen = number
            self._talk(f"machine {number + 1}")
            self._write(self._kept.get(number, b""))

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # a terminal that is gone sends SIGHUP
            while data:
                data = data[os.write(self._screen, data) :]


@contextlib.contextmanager
def raw_keys(keyboard: int) -> Iterator[None]:
    """Have every key arrive at once and unchanged, if `keyboard` is a terminal."""
    if not os.isatty(keyboard):
        yield
        return
    before = termios.tcgetattr(keyboard)
    raw = termios.tcgetattr(keyboard)
    raw[IFLAG] &= ~(termios.ICRNL | termios.INLCR | termios.IXON)
    raw[LFLAG] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
    raw[CC][termios.VMIN], raw[CC][termios.VTIME] = 1, 0
    termios.tcsetattr(keyboard, termios.TCSADRAIN, raw)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
