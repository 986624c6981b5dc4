"""Pauses between retries."""

import random
from collections.abc import Iterator


def backoff_delays(first_s: float = 0.5, limit_s: float = 30.0) -> Iterator[float]:
    """Yield pauses in seconds, without end: doubling up to `limit_s`, each ±25 % at random.

    Without the jitter, all nodes that lost a hub would return to it at the same moments.
    """
    delay = first_s
    while True:
        yield delay * random.uniform(0.75, 1.25)  # noqa: S311 - not a secret
        delay = min(delay * 2, limit_s)
