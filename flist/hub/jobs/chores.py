"""What a server does now and then, each chore in its own thread: a slow one delays no other."""

import random
import threading
from collections.abc import Callable
from typing import Any

from common.errors import ZosError

STOP_S = 10.0
SPREAD = 0.25
"""Each pause is longer or shorter by up to this: several servers would else ask all at once."""


class Chores:
    """Chores that run from `start` until `close`; `log` is the server's."""

    def __init__(self, log: Callable[[], Any]) -> None:
        self.log = log
        self.stopping = threading.Event()
        self.threads: list[threading.Thread] = []

    def add(self, name: str, interval_s: float, call: Callable[[], object]) -> None:
        """Have `call` called again and again; an error is logged and ends nothing."""
        thread = threading.Thread(
            target=self._run, args=(name, interval_s, call), name=name, daemon=True
        )
        self.threads.append(thread)

    def start(self) -> None:
        """Begin."""
        for thread in self.threads:
            thread.start()

    def close(self) -> None:
        """Begin no chore any more, and wait a while for those that run."""
        self.stopping.set()
        for thread in self.threads:
            if thread.is_alive():
                thread.join(STOP_S)

    def _run(self, name: str, interval_s: float, call: Callable[[], object]) -> None:
        pause_s = min(interval_s, 1.0)
        while not self.stopping.wait(pause_s * random.uniform(1 - SPREAD, 1 + SPREAD)):  # noqa: S311
            pause_s = interval_s
            try:
                call()
            except (ZosError, OSError) as error:
                self.log().warning("a chore failed", chore=name, error=str(error))
            except Exception as error:  # the next time it may go well, and the server goes on
                self.log().error("a chore failed", chore=name, error=repr(error))
