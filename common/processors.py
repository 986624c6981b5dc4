"""How many processors there are for this process."""

import os


def cpu_count() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))
