"""Waits for a store that does not answer, with growing pauses and a limit."""

import random
import threading
import time
from collections.abc import Callable
from typing import Protocol

from flist.errors import BlockError, FlistError, StoreUnavailableError
from flist.http.patience import LONGEST_S
from flist.store.base import Store, get_within
from flist.store.wrapped import WrappedStore

DEFAULT_WAIT_S = 60.0
"""How long a read waits for a store that is down, if nobody says otherwise."""
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
SHORTEST_TRY_S = 3.0
"""So long a try waits for bytes even when no time is left: time for a lost packet or two."""
WRONG_BYTES_TRIES = 3


class Pause(Protocol):
    """Waits some seconds; true ends the waiting for good."""

    def __call__(self, seconds: float, /) -> bool:
        """Wait `seconds`."""


class RetryingStore(WrappedStore):
    """A store whose `get` waits out an outage of up to `limit_s` seconds.

    Wrong bytes (a transfer gone bad) are asked for again a few times; a block that is missing is
    not. Once an outage has lasted the limit, later reads fail after one short try until an answer
    comes. A try that hangs ends with the limit, too: `get` takes that long, or one short try.
    """

    def __init__(
        self,
        store: Store,
        limit_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Pause | None = None,
    ) -> None:
        super().__init__(store)
        self.limit_s = limit_s
        self.clock = clock
        self.stopped = threading.Event()
        self.pause = pause or self.stopped.wait
        self.down_since: float | None = None
        self.last_error = 0.0

    def get(self, block_id: bytes) -> bytes:
        """Return a block, after as many tries as the limit allows."""
        began = self.begin()
        pause_s = FIRST_PAUSE_S
        wrong = 0
        while True:
            started = self.clock()
            patience_s = min(max(self.time_left(began), SHORTEST_TRY_S), LONGEST_S)
            try:
                data = get_within(self.store, block_id, patience_s)
            except StoreUnavailableError as error:
                self.note_failure(started)
                pause_s = self.wait(pause_s, self.time_left(began), error)
            except BlockError as error:
                wrong += 1
                left_s = self.time_left(began) if wrong < WRONG_BYTES_TRIES else 0.0
                pause_s = self.wait(pause_s, left_s, error)
            else:
                self.down_since = None
                return data

    def begin(self) -> float:
        """Return the time, for a `get` that begins."""
        now = self.clock()
        if now - self.last_error > self.limit_s:
            self.down_since = None  # nobody asked for so long that it would be another outage
        return now

    def time_left(self, began: float) -> float:
        """Return how long a `get` that began then may still wait."""
        down_since = self.down_since
        start = began if down_since is None else min(began, down_since)
        return start + self.limit_s - self.clock()

    def note_failure(self, started: float) -> None:
        """Note that a try has failed."""
        if self.down_since is None:
            self.down_since = started
        self.last_error = self.clock()

    def wait(self, pause_s: float, left_s: float, error: FlistError) -> float:
        """Pause, and return how long the next pause is; raises `error` when it is over."""
        if left_s <= 0:
            raise error
        # Many readers that wait must not come back all at once.
        if self.pause(min(pause_s * random.uniform(0.7, 1.3), left_s)):  # noqa: S311
            raise error
        return min(pause_s * 2, LONGEST_PAUSE_S)

    def close(self) -> None:
        """End every wait and close the store."""
        self.stopped.set()
        super().close()
