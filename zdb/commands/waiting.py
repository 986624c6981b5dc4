"""Clients that wait for a command of another one.

They are found by what they wait for, and by when that ends: thousands that wait cost the others
nothing.
"""

import heapq
import itertools
from typing import Any

from zdb.commands.client import Client, Wait

FEW = 64
Wanted = tuple[Any, bytes | None]
"""A namespace and a command; None: any."""


class Waiting:
    """Who waits for what, and how long."""

    def __init__(self) -> None:
        self._by_wanted: dict[Wanted, dict[Client, None]] = {}  # in the order of their coming
        self._ends: list[tuple[float, int, Client, Wait]] = []  # a heap, also of what is over
        self._numbers = itertools.count()
        self._limit = FEW  # of the heap, before what is over is taken out

    def __bool__(self) -> bool:
        return bool(self._by_wanted)

    def add(self, client: Client, wait: Wait) -> None:
        """Let a client wait, instead of what it has waited for."""
        self.drop(client)
        client.wait = wait
        self._by_wanted.setdefault((wait.namespace, wait.command), {})[client] = None
        heapq.heappush(self._ends, (wait.deadline, next(self._numbers), client, wait))
        if len(self._ends) > self._limit:
            self._ends = [end for end in self._ends if end[2].wait is end[3]]
            heapq.heapify(self._ends)
            self._limit = 2 * len(self._ends) + FEW

    def drop(self, client: Client) -> None:
        """Let a client wait no longer."""
        wait, client.wait = client.wait, None
        if wait is not None:
            wanted = wait.namespace, wait.command
            del self._by_wanted[wanted][client]
            if not self._by_wanted[wanted]:
                del self._by_wanted[wanted]

    def wake(self, client: Client, command: bytes) -> list[Client]:
        """Return those who wait no longer, for `client` has run a command."""
        woken = []
        for wanted in ((client.namespace, command), (client.namespace, None)):
            woken += [other for other in self._by_wanted.get(wanted, ()) if other is not client]
        for other in woken:
            self.drop(other)
        return woken

    def expire(self, now: float) -> list[Client]:
        """Return those whose time is over."""
        late = []
        while self._ends and self._ends[0][0] <= now:
            _, _, client, wait = heapq.heappop(self._ends)
            if client.wait is wait:
                self.drop(client)
                late.append(client)
        return late

    def next_end(self) -> float | None:
        """Return when `expire` has to be called, or earlier."""
        return self._ends[0][0] if self._by_wanted else None
