"""Starting processes: one piece of queued work at a time, so that no client waits for a thousand.

Knows of every process whose it is and what it is of it (`pids`); how a spawn went becomes an event.
"""

from zinit import record as r
from zinit.record import Event
from zinit.units import MAIN, PROBE, Launch, describe, is_transient
from zinit.words import split_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.seam import System
    from zinit.units import Unit


class Launcher:
    """The queue of what is to be started, and whose the processes are."""

    def __init__(
        self,
        system: "System",
        feed: "Callable[[Unit, Event], None]",
        is_known: "Callable[[Unit], bool]",
    ) -> None:
        self.pids: dict[int, tuple[Unit, str]] = {}  # pid -> unit and what the process is of it
        self._system = system
        self._feed = feed
        self._is_known = is_known
        self._work: list[tuple[Unit, str]] = []

    @property
    def has_work(self) -> bool:
        """Whether `work` has something to do."""
        return bool(self._work)

    def work(self) -> None:
        """Do one queued piece of work."""
        if not self._work:
            return
        unit, kind = self._work.pop(0)
        phase = unit.record.phase
        if kind == MAIN:
            unit.is_queued = False
            if phase == r.SPAWNING and self._is_known(unit):
                self.spawn(unit)
        elif phase in (r.STARTING, r.RUNNING) and not unit.probe_pid:
            self._spawn_probe(unit)

    def queue(self, unit: "Unit") -> None:
        """Let `work` spawn the unit."""
        if not unit.is_queued:
            unit.is_queued = True
            self._work.append((unit, MAIN))

    def queue_probe(self, unit: "Unit") -> None:
        """Let `work` run the unit's test."""
        self._work.append((unit, PROBE))

    def spawn(self, unit: "Unit") -> None:
        """Start the unit's process."""
        service = unit.record.service
        try:
            pid = self.launch(unit, MAIN, service.name, service.exec)
        except (OSError, ValueError, MemoryError) as error:
            event = Event(r.SPAWN_FAILED, text=describe(error), is_transient=is_transient(error))
        else:
            event = Event(r.SPAWNED, pid)
        self._feed(unit, event)

    def launch(self, unit: "Unit", kind: str, label: str, command: str) -> int:
        """Start `command` as a process of the unit; return its pid. Raises OSError, ValueError."""
        argv = split_words(command)
        if not argv:
            raise ValueError("there is no command")
        pid = self._system.spawn(Launch(unit.record.service, kind, label, argv))
        self.pids[pid] = (unit, kind)
        return pid

    def _spawn_probe(self, unit: "Unit") -> None:
        service = unit.record.service
        command = service.test if unit.record.phase == r.STARTING else service.liveness
        try:
            unit.probe_pid = self.launch(unit, PROBE, f"{service.name}/test", command)
        except (OSError, ValueError, MemoryError) as error:
            self._feed(unit, Event(r.PROBE_BROKEN, text=describe(error)))
