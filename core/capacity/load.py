"""How busy the machine is."""

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil

LEAST_S = 1.0  # between two samples: a shorter time says nothing

Sample = tuple[float, float]  # seconds of all processors: in all, and idle


class Load:
    """Measures the processors between calls, so that nothing runs while nobody asks."""

    def __init__(self, sample: Callable[[], Sample] | None = None) -> None:
        self._sample = sample or read_sample
        self._lock = threading.Lock()
        self._before: Sample = (0.0, 0.0)  # the first answer is about all the time since the boot
        self._asked = float("-inf")
        self._busy = 0.0

    def busy(self) -> float:
        """Return which part of the processors was busy since the last call, from 0 to 1."""
        with self._lock:
            now = time.monotonic()
            if now - self._asked >= LEAST_S:
                total, idle = self._sample()
                passed, rested = total - self._before[0], idle - self._before[1]
                self._busy = min(max(1 - rested / passed, 0.0), 1.0) if passed > 0 else 0.0
                self._before, self._asked = (total, idle), now
            return self._busy

    def to_json(self) -> dict[str, Any]:
        """Return what the screen and the API show."""
        memory = psutil.virtual_memory()
        return {
            "processors": psutil.cpu_count() or 0,
            "busy": round(self.busy(), 3),
            "load": [round(value, 2) for value in os.getloadavg()],
            "memory": {
                "total": memory.total,
                "available": memory.available,
                "used": memory.total - memory.available,
            },
            "uptime_s": round(time.clock_gettime(time.CLOCK_BOOTTIME), 1),
        }


def read_sample() -> Sample:
    """Return the times of all processors since the boot; waiting for a disk is idle time."""
    times = psutil.cpu_times()
    idle = times.idle + times.iowait
    guests = times.guest + times.guest_nice  # which user and nice have, too
    return sum(times) - guests, idle
