"""Waiting for a condition, with a deadline that reports what was last seen."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.02


def wait_until(seen: Callable[[], T], what: str, timeout_s: float) -> T:
    """Call `seen` until it returns something true, and return that."""
    deadline = time.monotonic() + timeout_s
    while True:
        last = seen()
        if last:
            return last
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}; last seen: {last}"
        time.sleep(POLL_S)
