"""Threads by purpose, so that one kind of work cannot hold up another."""

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from serving.settings import ServerSettings

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


def size_default_pool(threads: int) -> None:
    """Set the size of the pool that reads files and runs `def` endpoints in this event loop."""
    to_thread.current_default_thread_limiter().total_tokens = threads
