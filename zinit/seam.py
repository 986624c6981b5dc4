"""The seam to the operating system and the clock, as the manager sees it (for type checking only).

`zinit.system.RealSystem` is the real one; the tests have a fake.
"""

from typing import Protocol

from zinit.config import Service
from zinit.units import Launch


class System(Protocol):
    """What the manager may do to the world."""

    def now(self) -> float:
        """Return seconds on a clock that never jumps."""
        ...

    def spawn(self, launch: Launch) -> int:
        """Start a process that leads a session of its own; return its pid, or raise OSError."""
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
