"""Starts processes, a few at a time so that clients are answered in between.

The result of each spawn becomes an event of its unit.
"""

from zinit.life import record as r
from zinit.life.record import Event
from zinit.life.unit import MAIN, PROBE, Launch, describe, is_transient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from typing import Any

    from zinit.life.seam import System
    from zinit.life.unit import Unit
else:
    from _collections import deque  # collections would import six modules

BATCH = 10  # plain services are started together; others may take long and are started alone
BATCH_S = 0.01  # on a busy machine, or with many descriptors, fewer are started together


class Launcher:
    """The queue of spawns, and the unit and kind of every process."""

    def __init__(
        self,
        system: "System",
        feed: "Callable[[Unit, Event], None]",
        is_known: "Callable[[Unit], bool]",
    ) -> None:
        self.pids: dict[int, tuple[Unit, str]] = {}  # unit and kind
        self._system = system
        self._feed = feed
        self._is_known = is_known
        self._services: deque[Unit] = deque()
        self._batch = BATCH  # the size of the next batch
        self._probes: dict[Unit, None] = {}  # in order

    @property
    def has_work(self) -> bool:
        """Whether anything is queued."""
        return bool(self._services or self._probes)

    def work(self) -> None:
        """Run one queued test, and start a batch of queued services."""
        if self._probes:
            unit = next(iter(self._probes))
            self.drop_probe(unit)
            self._spawn_probe(unit)
        if self._services:
            began = self._system.now()
            self.spawn(self._take_batch())
            is_long = self._system.now() - began > BATCH_S
            self._batch = max(self._batch // 2, 1) if is_long else min(self._batch + 1, BATCH)

    def queue(self, unit: "Unit") -> None:
        """Queue the spawn of the unit's main process."""
        if not unit.is_queued:
            unit.is_queued = True
            self._services.append(unit)

    def queue_probe(self, unit: "Unit") -> None:
        """Queue a run of the unit's test."""
        self._probes[unit] = None

    def drop_probe(self, unit: "Unit") -> None:
        """Cancel a queued run of the unit's test."""
        self._probes.pop(unit, None)

    def spawn(self, units: "list[Unit]") -> None:
        """Start the units' main processes, and send each unit the result as an event.

        Successes are sent first, because a failure may send further events to other `units`.
        """
        services = [unit.record.service for unit in units]
        launches = [Launch(service, MAIN, service.name, service.exec) for service in services]
        failed: list[tuple[Unit, Exception]] = []
        for unit, result in zip(units, self._system.spawn(launches), strict=True):
            if isinstance(result, int):
                self.pids[result] = (unit, MAIN)
                self._feed(unit, Event(r.SPAWNED, result))
            else:
                failed.append((unit, result))
        for unit, error in failed:
            is_passing = is_transient(error)
            event = Event(r.SPAWN_FAILED, text=describe(error), is_transient=is_passing)
            self._feed(unit, event)

    def launch(self, unit: "Unit", kind: str, label: str, command: str) -> int:
        """Start `command` as a second process of the unit; return its pid.

        Raises OSError, ValueError or MemoryError.
        """
        launch = Launch(unit.record.service, kind, label, command)
        (result,) = self._system.spawn([launch])
        if isinstance(result, Exception):
            raise result
        self.pids[result] = (unit, kind)
        return result

    def signal(self, unit: "Unit", number: int) -> None:
        """Send a signal to the unit's process group."""
        if self._owns_pid(unit):
            self._system.kill_group(unit.record.pid, number)

    def has_group(self, unit: "Unit") -> bool:
        """Return whether anything is left of the process group of a unit's ended process."""
        return self._owns_pid(unit) and self._system.has_group(unit.record.pid)

    def _owns_pid(self, unit: "Unit") -> bool:
        """Return False if the whole group has ended and its number was given to a new process."""
        owner = self.pids.get(unit.record.pid)
        return owner is None or owner == (unit, MAIN)

    def dump(self) -> "list[tuple[int, str, str]]":
        """Return pid, service and kind of every process."""
        return [(pid, unit.name, kind) for pid, (unit, kind) in self.pids.items()]

    def restore(self, processes: "list[Any]", units: "dict[str, Unit]") -> None:
        """Take over the processes that `dump` returned, those of unknown services excepted."""
        for pid, name, kind in processes:
            if name in units:
                self.pids[pid] = (units[name], kind)

    def _take_batch(self) -> "list[Unit]":
        """Take the next services that are still to be spawned: several only if all are plain."""
        batch: list[Unit] = []
        while self._services and len(batch) < self._batch:
            unit = self._services[0]
            if batch and not unit.record.service.is_plain:
                break
            self._services.popleft()
            unit.is_queued = False
            if unit.record.phase == r.SPAWNING and self._is_known(unit):
                batch.append(unit)
                if not unit.record.service.is_plain:
                    break
        return batch

    def _spawn_probe(self, unit: "Unit") -> None:
        service, phase = unit.record.service, unit.record.phase
        if phase not in (r.STARTING, r.RUNNING) or unit.probe_pid:
            return
        command = service.test if phase == r.STARTING else service.liveness
        try:
            unit.probe_pid = self.launch(unit, PROBE, f"{service.name}/test", command)
        except (OSError, ValueError, MemoryError) as error:
            is_passing = is_transient(error)
            self._feed(unit, Event(r.PROBE_BROKEN, text=describe(error), is_transient=is_passing))
