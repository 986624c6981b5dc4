"""The daemon `screen`: asks the others what there is, and draws it on the third terminal."""

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from common.ipc.client import call
from common.ipc.errors import IpcError
from core.daemon import Stop, Work, run_daemon
from core.places import DOOR, SCREEN, socket_of
from core.sandbox.profile import Profile
from core.screen.layout import lay_out
from core.screen.terminal import Terminal
from core.screen.values import Answers, look

PROFILE = Profile("screen", SCREEN, connections_max=0)  # it only asks
VT = 3  # as upstream's; `tty` in core-screen.yaml is the same
PAUSE_S = 2.0
REPAIR_EVERY = 5  # rounds, after which all is drawn again
ASK_S = 3.0
CAPACITY = socket_of("capacity")
OFTEN = {
    "door": (DOOR, "status"),
    "services": (DOOR, "services.list"),
    "load": (CAPACITY, "load"),
}
# What seldom changes, asked for every so many rounds, once it is known.
SELDOM_EVERY = 15
SELDOM = {
    "identity": (socket_of("identity"), "describe"),
    "facts": (CAPACITY, "facts"),
    "report": (socket_of("report"), "status"),
}


class Screen:
    """Shows one round after another."""

    def __init__(self, terminal: Terminal, ask: Callable[..., Any] = call) -> None:
        self.terminal = terminal
        self.ask = ask
        self.round = 0
        self.known: dict[str, Any] = {}

    def run(self, stop: Stop) -> None:
        """Draw until the daemon is to end."""
        while True:
            self.draw()
            if self.round == 1:
                self.terminal.show(VT)
            if stop.wait(PAUSE_S):
                return

    def draw(self) -> None:
        """Ask everybody and draw the answers."""
        columns, rows = self.terminal.size()
        lines = lay_out(look(self.gather()), columns, rows)
        self.terminal.draw(lines, is_whole=self.round % REPAIR_EVERY == 0)
        self.round += 1

    def gather(self) -> Answers:
        """Return what the daemons answer."""
        for name, call_of in SELDOM.items():
            if self.round % SELDOM_EVERY == 0 or self.known[name] is None:
                self.known[name] = self._ask(*call_of)
        often = {name: self._ask(*call_of) for name, call_of in OFTEN.items()}
        return Answers(**often, **self.known, kernel=os.uname().release)

    def _ask(self, *words: Any) -> Any:
        """Return an answer, None if there is none in time."""
        try:
            return self.ask(*words, ASK_S)
        except IpcError:
            return None


def begin() -> Work:
    """Take the terminal that zinit has given."""
    terminal = Terminal(sys.stdout.fileno())
    terminal.open()
    return Work({}, Screen(terminal).run)


def main() -> NoReturn:
    """Run the daemon."""
    run_daemon(PROFILE, begin)
