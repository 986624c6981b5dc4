"""Runs all services: feeds the machine, carries its actions out, keeps the order.

Pure orchestration: everything that touches the world goes through `system` (see `seam.py`), so
the whole of it runs on a fake clock and without processes. Spawns are queued and done one at a
time by `work()`, so that a client never waits for a thousand of them.
"""

from heapq import heappop, heappush

from zinit import machine
from zinit.graph import StopOrder, find_cycles
from zinit.machine import Action, Event, Record
from zinit.signals import SIGKILL, parse_signal
from zinit.words import split_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.config import Service
    from zinit.seam import System

POWEROFF = "poweroff"
REBOOT = "reboot"


class CommandError(Exception):
    """A command that is refused; `kind` is for callers that want more than upstream's text."""

    def __init__(self, kind: str, text: str, value: str = "") -> None:
        super().__init__(text)
        self.kind = kind
        self.value = value  # what was refused, where the text does not hold it


class Launch:
    """What to spawn: the words, where, with which variables and outputs."""

    __slots__ = ("argv", "label", "service")

    def __init__(self, service: "Service", label: str, argv: list[str]) -> None:
        self.service = service
        self.label = label  # the name its log lines carry
        self.argv = argv


class Unit:
    """One monitored service and what runs for it."""

    __slots__ = ("is_queued", "probe_pid", "record", "timers", "unmet")

    def __init__(self, service: "Service") -> None:
        self.record = Record(service)
        self.probe_pid = 0
        self.timers: dict[str, float] = {}
        self.unmet: set[str] = set()
        self.is_queued = False

    @property
    def name(self) -> str:
        """The service's name."""
        return self.record.service.name


class Manager:
    """All units, their timers and the work that is queued."""

    def __init__(self, system: "System", load: "Callable[[str], Service]") -> None:
        self.system = system
        self.units: dict[str, Unit] = {}
        self.goal = ""  # "", POWEROFF or REBOOT
        self.is_finished = False
        self._load = load  # the service file of a name; raises OSError or ConfigError
        self._dependents: dict[str, dict[str, None]] = {}
        self._pids: dict[int, tuple[Unit, bool]] = {}  # pid -> unit, whether it is the probe
        self._timers: list[tuple[float, int, Unit, str]] = []
        self._timer_count = 0
        self._work: list[tuple[Unit, str]] = []
        self._order: StopOrder | None = None
        self._stopping: set[str] = set()
        self._carriers: dict[str, Callable[[Unit, Action], None]] = {
            "check": self._check,
            "spawn": self._queue_spawn,
            "probe": self._queue_probe,
            "end_probe": self._end_probe,
            "signal": self._signal,
            "arm": self._arm,
            "disarm": self._disarm,
            "announce": self._announce,
            "report": self._report,
        }

    # What clients ask for

    def names(self) -> list[str]:
        """Return the names of all units."""
        return list(self.units)

    def find(self, name: str) -> Unit:
        """Return the unit called `name`."""
        unit = self.units.get(name)
        if unit is None:
            raise CommandError("unknown", f'service name "{name}" unknown')
        return unit

    def list_states(self) -> dict[str, str]:
        """Return the shown state of every service, by name."""
        return {name: self.units[name].record.shown for name in sorted(self.units)}

    def status(self, name: str) -> "dict[str, object]":
        """Return what `zinit status` prints."""
        record = self.find(name).record
        after = {dep: self._shown(dep) for dep in sorted(record.service.after)}
        return {
            "name": name,
            "pid": record.pid,
            "state": record.shown,
            "target": "Up" if record.target_up else "Down",
            "after": after,
        }

    def monitor(self, name: str) -> None:
        """Load the service file of `name` and start it."""
        self._refuse_in_shutdown()
        if name in self.units:
            raise CommandError("monitored", f'service "{name}" already monitored')
        self._hasten(self.add(self._load(name)))

    def start(self, name: str) -> None:
        """Want it up."""
        self._refuse_in_shutdown()
        unit = self.find(name)
        self._feed(unit, Event(machine.START))
        self._hasten(unit)

    def stop(self, name: str) -> None:
        """Want it down; returns at once."""
        self._feed(self.find(name), Event(machine.STOP))

    def forget(self, name: str) -> None:
        """Drop a service that is down."""
        unit = self.find(name)
        if unit.record.target_up or unit.record.has_process:
            raise CommandError("up", f'service "{name}" is up')
        del self.units[name]
        unit.timers.clear()
        for dep in unit.record.service.after:
            self._dependents[dep].pop(name, None)

    def kill(self, name: str, signal: str) -> None:
        """Send a signal, by its full name, to the service's process group."""
        unit = self.find(name)
        if not unit.record.has_process:
            raise CommandError("down", f'service "{name}" is down')
        try:
            number = parse_signal(signal)
        except ValueError:
            raise CommandError("signal", "EINVAL: Invalid argument", signal) from None
        self.system.kill_group(unit.record.pid, number)

    def shut_down(self, goal: str) -> None:
        """Stop everything in order; `is_finished` tells when that is done."""
        self._refuse_in_shutdown()
        self.goal = goal
        after = {name: unit.record.service.after for name, unit in self.units.items()}
        for unit in self.units.values():  # what has no process yet must not get one
            if not unit.record.has_process:
                self._feed(unit, Event(machine.STOP))
        self._order = StopOrder(after)
        self._advance_shutdown(self._order.first())

    # What the world says

    def add(self, service: "Service") -> Unit:
        """Monitor `service` and want it up."""
        unit = self.units[service.name] = Unit(service)
        for dep in service.after:
            self._dependents.setdefault(dep, {})[service.name] = None
        self._feed(unit, Event(machine.START))
        return unit

    def report_cycles(self) -> None:
        """Tell of services that wait for each other: they never start."""
        after = {name: unit.record.service.after for name, unit in self.units.items()}
        for names in find_cycles(after):
            self.system.report(f"these wait for each other and never start: {', '.join(names)}")

    def on_exit(self, pid: int, status: int) -> None:
        """A child has ended and was reaped; pids that are nobody's are orphans."""
        unit, is_probe = self._pids.pop(pid, (None, False))
        if unit is None:
            return
        if not is_probe:
            self._feed(unit, Event(machine.EXITED, status))
        elif unit.probe_pid == pid:
            unit.probe_pid = 0
            self._feed(unit, Event(machine.PROBE_FAILED if status else machine.READY))

    def on_ready(self, name: str, pid: int) -> None:
        """The process `pid` of `name` says that it is ready."""
        unit = self.units.get(name)
        if unit is not None and unit.record.pid == pid:
            self._feed(unit, Event(machine.READY))

    def on_time(self, now: float) -> None:
        """Send the events of all timers that are due."""
        while self._timers and self._timers[0][0] <= now:
            at, _, unit, kind = heappop(self._timers)
            if unit.timers.get(kind) == at:
                del unit.timers[kind]
                self._feed(unit, Event(kind))

    def next_time(self) -> float | None:
        """Return when `on_time` is wanted next."""
        while self._timers:
            at, _, unit, kind = self._timers[0]
            if unit.timers.get(kind) == at:
                return at
            heappop(self._timers)
        return None

    @property
    def has_work(self) -> bool:
        """Whether `work` has something to do."""
        return bool(self._work)

    def work(self) -> None:
        """Do one queued piece of work."""
        if not self._work:
            return
        unit, kind = self._work.pop(0)
        record = unit.record
        if kind == "spawn":
            unit.is_queued = False
            if record.phase == machine.SPAWNING:
                self._spawn(unit)
        elif record.phase == machine.STARTING and not unit.probe_pid:
            self._spawn_probe(unit)

    # Carrying out

    def _feed(self, unit: Unit, event: Event) -> None:
        unit.record, actions = machine.step(unit.record, event, self.system.now())
        for action in actions:
            self._carriers[action.kind](unit, action)
        if unit.name in self._stopping and unit.record.is_down:
            self._stopping.discard(unit.name)
            if self._order is not None:
                self._advance_shutdown(self._order.release(unit.name))

    def _check(self, unit: Unit, _: Action) -> None:
        unit.unmet = {dep for dep in unit.record.service.after if not self._is_met(dep)}
        if not unit.unmet:
            self._feed(unit, Event(machine.UNBLOCKED))

    def _is_met(self, name: str) -> bool:
        unit = self.units.get(name)
        return unit is not None and unit.record.satisfies

    def _announce(self, unit: Unit, _: Action) -> None:
        if not unit.record.satisfies:
            return
        for name in self._dependents.get(unit.name, ()):
            dependent = self.units[name]
            dependent.unmet.discard(unit.name)
            if dependent.record.phase == machine.BLOCKED and not dependent.unmet:
                self._check(dependent, machine.CHECK)

    def _queue_spawn(self, unit: Unit, _: Action) -> None:
        if not unit.is_queued:
            unit.is_queued = True
            self._work.append((unit, "spawn"))

    def _hasten(self, unit: Unit) -> None:
        """Spawn at once what a client asked for, so that its next question sees the process."""
        if unit.record.phase == machine.SPAWNING:
            self._spawn(unit)

    def _queue_probe(self, unit: Unit, _: Action) -> None:
        self._work.append((unit, "probe"))

    def _spawn(self, unit: Unit) -> None:
        service = unit.record.service
        try:
            pid = self._launch(service, service.name, service.exec)
        except (OSError, ValueError) as error:
            event = Event(machine.SPAWN_FAILED, text=str(error), is_transient=is_transient(error))
        else:
            self._pids[pid] = (unit, False)
            event = Event(machine.SPAWNED, pid)
        self._feed(unit, event)

    def _spawn_probe(self, unit: Unit) -> None:
        service = unit.record.service
        try:
            pid = self._launch(service, f"{service.name}/test", service.test)
        except (OSError, ValueError) as error:
            self._feed(unit, Event(machine.PROBE_BROKEN, text=str(error)))
            return
        unit.probe_pid = pid
        self._pids[pid] = (unit, True)

    def _launch(self, service: "Service", label: str, command: str) -> int:
        argv = split_words(command)
        if not argv:
            raise ValueError("there is no command")
        return self.system.spawn(Launch(service, label, argv))

    def _end_probe(self, unit: Unit, _: Action) -> None:
        if unit.probe_pid:
            self.system.kill_group(unit.probe_pid, SIGKILL)
            unit.probe_pid = 0

    def _signal(self, unit: Unit, action: Action) -> None:
        self.system.kill_group(unit.record.pid, action.number)

    def _arm(self, unit: Unit, action: Action) -> None:
        unit.timers[action.text] = action.at
        self._timer_count += 1
        heappush(self._timers, (action.at, self._timer_count, unit, action.text))

    def _disarm(self, unit: Unit, _: Action) -> None:
        unit.timers.clear()

    def _report(self, unit: Unit, action: Action) -> None:
        self.system.report(f"{unit.name}: {action.text}")

    # Shutting down

    def _refuse_in_shutdown(self) -> None:
        if self.goal:
            raise CommandError("shutdown", "zinit is shutting down")

    def _advance_shutdown(self, names: list[str]) -> None:
        """Stop `names`, which nobody waits for any more, and what that frees."""
        order = self._order
        assert order is not None
        while names:
            name = names.pop()
            unit = self.units.get(name)
            if unit is not None and unit.record.target_up:
                self._feed(unit, Event(machine.STOP))
            if unit is None or unit.record.is_down:
                names += order.release(name)
            else:
                self._stopping.add(name)
        self.is_finished = not self._stopping

    def _shown(self, name: str) -> str:
        unit = self.units.get(name)
        return unit.record.shown if unit else "Unknown"


def is_transient(error: Exception) -> bool:
    """Tell whether a spawn may work later: out of processes, memory or descriptors."""
    from errno import EAGAIN, EMFILE, ENFILE, ENOMEM

    return isinstance(error, OSError) and error.errno in (EAGAIN, ENOMEM, EMFILE, ENFILE)
