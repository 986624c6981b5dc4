"""Threads by purpose, so that one kind of work cannot hold up another.

A pool's threads do what requests ask for; a chore is done now and then, in a thread of its own.
"""

import random
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from common.errors import ZosError
from serving.settings import ServerSettings

STOP_S = 10.0
SPREAD = 0.25
"""Each pause is longer or shorter by up to this: several servers would else ask all at once."""

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """At most `size` threads for one purpose; further calls wait their turn."""

    def __init__(self, size: int) -> None:
        self.limiter = CapacityLimiter(size)

    @property
    def waiting(self) -> int:
        """Return how many calls wait for a thread."""
        return self.limiter.statistics().tasks_waiting

    async def run(self, call: Callable[P, T], *words: P.args, **named: P.kwargs) -> T:
        """Return what `call` returns when it is run in one of the pool's threads."""
        return await to_thread.run_sync(partial(call, *words, **named), limiter=self.limiter)


class Pools:
    """The pools of one application. Plain `def` endpoints run in Starlette's own pool."""

    def __init__(self, settings: ServerSettings) -> None:
        self.hashing = Pool(settings.hashing_threads)
        self.passwords = Pool(settings.password_threads)
        self.uploads = Pool(settings.upload_threads)


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


def size_default_pool(threads: int) -> None:
    """Set the size of the pool that reads files and runs `def` endpoints in this event loop."""
    to_thread.current_default_thread_limiter().total_tokens = threads
