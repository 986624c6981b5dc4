"""Waits for a condition, with a deadline; the error shows the last value."""

import time
from collections.abc import Callable
from typing import TypeVar

from common.errors import ZosError

T = TypeVar("T")
POLL_S = 0.02
DEADLINE_S = 60.0


def wait_until(
    seen: Callable[[], T], what: str = "the condition", timeout_s: float = DEADLINE_S
) -> T:
    """Call `seen` until it returns a true value, and return that; errors count as false."""
    deadline = time.monotonic() + timeout_s
    while True:
        last: object
        try:
            last = found = seen()
        except (OSError, ZosError) as error:
            last = error
        else:
            if found:
                return found
        assert time.monotonic() < deadline, (
            f"not within {timeout_s:g} s: {what}; last seen: {last!r}"
        )
        time.sleep(POLL_S)
