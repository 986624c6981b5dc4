"""The seam to the operating system and the clock, as the manager sees it (for type checking only).

`zinit.process.system.RealSystem` is the real one; the tests have a fake.
"""

from collections.abc import Sequence
from typing import Protocol

from zinit.files.service import Service
from zinit.life.unit import Launch


class System(Protocol):
    """What the manager may do to the world."""

    def now(self) -> float:
        """Return seconds on a clock that never jumps."""
        ...

    def reserve_files(self, services: int) -> None:
        """See to it that there are descriptors for so many services, if that can be."""
        ...

    def spawn(self, launches: Sequence[Launch]) -> list[int | Exception]:
        """Start processes that each lead a session of their own.

        Returns for each its pid, or why there is none: an OSError, ValueError or MemoryError.
        """
        ...

    def kill_group(self, pid: int, number: int) -> None:
        """Send a signal to the process group of a child that was not reaped yet."""
        ...

    def kill_cgroup(self, service: Service) -> None:
        """End every process in the service's control group."""
        ...

    def report(self, text: str) -> None:
        """Tell people something."""
        ...

    def fault(self, error: BaseException) -> None:
        """Tell people of a bug; the manager goes on."""
        ...
