"""Retries reads of a store that does not answer, with growing pauses and a limit.

Behind routes, the mirrors of a block are retried together, and apart from the stores of other
blocks: a shard that is down neither uses up the patience with the others nor is forgotten when they
answer.
"""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Protocol

from flist.errors import BlockError, FlistError, StoreUnavailableError
from flist.http.patience import LONGEST_S
from flist.http.retry import Backoff
from flist.store.base import Store, get_within
from flist.store.wrapped import WrappedStore

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
SHORTEST_TRY_S = 3.0
"""A try waits this long for bytes even when no time is left: enough for a lost packet or two."""
WRONG_BYTES_TRIES = 3


class Pause(Protocol):
    """Waits; returns true if there must be no further tries."""

    def __call__(self, seconds: float, /) -> bool:
        """Wait `seconds`."""


class Outage:
    """What is known about the last outage of a group of stores."""

    def __init__(self) -> None:
        self.down_since: float | None = None
        self.last_error = 0.0


class RetryingStore(WrappedStore):
    """A store whose `get` waits out an outage of up to `limit_s` seconds.

    Wrong bytes (a corrupted transfer) are requested again a few times; a missing block is not. Once
    an outage has lasted the limit, later reads fail after one short try until the store answers. A
    try that hangs ends with the limit, too: `get` takes that long, or one short try. `group`
    returns a value that blocks in the same stores have in common; each group has its own outage.
    """

    def __init__(
        self,
        store: Store,
        limit_s: float,
        *,
        group: Callable[[bytes], Hashable] = lambda _block_id: None,
        clock: Callable[[], float] = time.monotonic,
        pause: Pause | None = None,
    ) -> None:
        super().__init__(store)
        self.group = group
        self.limit_s = limit_s
        self.clock = clock
        self.stopped = threading.Event()
        self.pause = pause or self.stopped.wait
        self.outages: dict[Hashable, Outage] = {}

    def outage(self, block_id: bytes) -> Outage:
        """Return the outage of the stores of a block."""
        return self.outages.setdefault(self.group(block_id), Outage())

    def is_down(self, block_id: bytes) -> bool:
        """Return whether the last try to read from the stores of a block has failed."""
        return self.outage(block_id).down_since is not None

    def get(self, block_id: bytes) -> bytes:
        """Return a block, after as many tries as the limit allows."""
        outage = self.outage(block_id)
        began = self.begin(outage)
        pauses = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        wrong = 0
        while True:
            started = self.clock()
            patience_s = min(max(self.time_left(outage, began), SHORTEST_TRY_S), LONGEST_S)
            try:
                data = get_within(self.store, block_id, patience_s)
            except StoreUnavailableError as error:
                self.note_failure(outage, started)
                self.wait(pauses, self.time_left(outage, began), error)
            except BlockError as error:
                wrong += 1
                left_s = self.time_left(outage, began) if wrong < WRONG_BYTES_TRIES else 0.0
                self.wait(pauses, left_s, error)
            else:
                outage.down_since = None
                return data

    def begin(self, outage: Outage) -> float:
        """Return the time at which a `get` begins."""
        now = self.clock()
        if now - outage.last_error > self.limit_s:
            outage.down_since = None  # no read failed for so long that this would be another outage
        return now

    def time_left(self, outage: Outage, began: float) -> float:
        """Return how long a `get` that began at `began` may still wait."""
        down_since = outage.down_since
        start = began if down_since is None else min(began, down_since)
        return start + self.limit_s - self.clock()

    def note_failure(self, outage: Outage, started: float) -> None:
        """Note that a try has failed."""
        if outage.down_since is None:
            outage.down_since = started
        outage.last_error = self.clock()

    def wait(self, pauses: Backoff, left_s: float, error: FlistError) -> None:
        """Pause before the next try; raises `error` when there must be none."""
        if left_s <= 0 or self.pause(min(pauses.next_s(), left_s)):
            raise error

    def close(self) -> None:
        """End every wait and close the store."""
        self.stopped.set()
        super().close()
