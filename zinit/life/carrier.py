"""Carries out the actions that the state machine returns."""

from zinit.files.signals import SIGKILL
from zinit.life import record as r
from zinit.life.record import CHECK, Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.life.dependencies import Dependencies
    from zinit.life.launcher import Launcher
    from zinit.life.record import Action
    from zinit.life.seam import System
    from zinit.life.timers import Timers
    from zinit.life.unit import Unit


class Carrier:
    """One method for each kind of action; `feed` queues the events that follow from one."""

    def __init__(
        self,
        system: "System",
        dependencies: "Dependencies",
        timers: "Timers",
        launcher: "Launcher",
        feed: "Callable[[Unit, Event], None]",
    ) -> None:
        self._system = system
        self._dependencies = dependencies
        self._timers = timers
        self._launcher = launcher
        self._feed = feed
        self._methods: dict[str, Callable[[Unit, Action], None]] = {
            "check": self._check,
            "spawn": self._spawn,
            "probe": self._probe,
            "end_probe": self._end_probe,
            "signal": self._signal,
            "look": self._look,
            "sweep": self._sweep,
            "arm": self._arm,
            "drop": self._drop,
            "disarm": self._disarm,
            "announce": self._announce,
            "report": self._report,
            "refuse": self._refuse,
        }

    def carry_out(self, unit: "Unit", action: "Action") -> None:
        """Do what `action` says, for `unit`."""
        self._methods[action.kind](unit, action)

    def _check(self, unit: "Unit", _: "Action") -> None:
        unit.unmet = self._dependencies.unmet(unit.record.service)
        if not unit.unmet:
            self._feed(unit, Event(r.UNBLOCKED))

    def _announce(self, unit: "Unit", _: "Action") -> None:
        for dependent in self._dependencies.dependents(unit.name):
            record = dependent.record
            if record.phase == r.BLOCKED:
                if self._dependencies.is_met(record.service, unit.name):
                    dependent.unmet.discard(unit.name)
                    if not dependent.unmet:
                        self._check(dependent, CHECK)
            elif unit.record.is_lost and unit.name in record.service.requires:
                self._feed(dependent, Event(r.LOST, text=unit.name))

    def _spawn(self, unit: "Unit", _: "Action") -> None:
        self._launcher.queue(unit)

    def _probe(self, unit: "Unit", _: "Action") -> None:
        self._launcher.queue_probe(unit)

    def _end_probe(self, unit: "Unit", _: "Action") -> None:
        self._launcher.drop_probe(unit)
        pid, unit.probe_pid = unit.probe_pid, 0
        if pid:
            self._system.kill_group(pid, SIGKILL)

    def _signal(self, unit: "Unit", action: "Action") -> None:
        self._launcher.signal(unit, action.number)
        if action.number == SIGKILL:
            self._sweep(unit, action)

    def _look(self, unit: "Unit", _: "Action") -> None:
        if not self._launcher.has_group(unit):
            self._feed(unit, Event(r.EXITED, unit.record.ended))

    def _sweep(self, unit: "Unit", _: "Action") -> None:
        if unit.record.service.kill_cgroup:
            self._system.kill_cgroup(unit.record.service)

    def _arm(self, unit: "Unit", action: "Action") -> None:
        self._timers.arm(unit, action.text, action.at)

    def _drop(self, unit: "Unit", action: "Action") -> None:
        unit.timers.pop(action.text, None)

    def _disarm(self, unit: "Unit", _: "Action") -> None:
        unit.timers.clear()

    def _report(self, unit: "Unit", action: "Action") -> None:
        self._system.report(f"{unit.name}: {action.text}")
        self._system.note(unit.name, f"[zinit] {action.text}")

    def _refuse(self, unit: "Unit", action: "Action") -> None:
        self._system.report(f"{unit.name}: {action.text}")
        self._system.note(unit.name, f"[start] {action.text}")
