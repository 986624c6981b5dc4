"""Waiting times between tries."""

import random
from collections.abc import Iterator


def backoff_delays(first_s: float = 0.5, limit_s: float = 30.0) -> Iterator[float]:
    """Yield seconds to wait, forever: doubling up to `limit_s`, spread by a quarter either way.

    The spread keeps a thousand nodes that lost the same hub from coming back in step.
    """
    delay = first_s
    while True:
        yield delay * random.uniform(0.75, 1.25)  # noqa: S311 - not a secret
        delay = min(delay * 2, limit_s)
