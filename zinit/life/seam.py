"""The manager's interface to the operating system and the clock; imported for type checking only.

`zinit.process.system.RealSystem` implements it; the tests have a fake.
"""

from collections.abc import Sequence
from typing import Protocol

from zinit.files.service import Service
from zinit.life.unit import Launch


class System(Protocol):
    """Everything that the manager does outside of its own state."""

    def now(self) -> float:
        """Return the time in seconds on a monotonic clock."""
        ...

    def reserve_files(self, services: int) -> None:
        """Raise the limit of open files for so many services, if possible."""
        ...

    def spawn(self, launches: Sequence[Launch]) -> list[int | Exception]:
        """Start processes, each as the leader of a new session.

        Returns for each one its pid, or its OSError, ValueError or MemoryError.
        """
        ...

    def kill_group(self, pid: int, number: int) -> None:
        """Send a signal to the process group of a child, which may have ended."""
        ...

    def has_group(self, pid: int) -> bool:
        """Return whether processes of the group of a child run, after the child's own end."""
        ...

    def kill_cgroup(self, service: Service) -> None:
        """Kill every process in the service's control group."""
        ...

    def forget(self, service: Service) -> None:
        """Remove what the machine keeps for a service that is no longer monitored."""
        ...

    def report(self, text: str) -> None:
        """Write a line to the console."""
        ...

    def note(self, name: str, text: str) -> None:
        """Add a line about the service `name` to its log."""
        ...

    def fault(self, error: BaseException) -> None:
        """Report a bug; the manager goes on."""
        ...
