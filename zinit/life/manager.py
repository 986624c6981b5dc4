"""Runs all services: feeds the machine, carries its actions out, keeps the order.

Pure orchestration: everything that touches the world goes through `system` (see `seam.py`), so
the whole of it runs on a fake clock and without processes. Events are queued and worked off one by
one, never by recursion; spawns wait in the launcher. An event that fails is told and dropped: the
others go on.
"""

from zinit.files.signals import NUMBERS, SIGKILL, parse_signal
from zinit.life import record as r
from zinit.life.dependencies import Dependencies
from zinit.life.graph import StopOrder, find_cycles
from zinit.life.launcher import Launcher
from zinit.life.machine import step
from zinit.life.record import CHECK, Action, Event
from zinit.life.shutdown import Closing
from zinit.life.timers import Timers
from zinit.life.unit import MAIN, TASK, CommandError, Unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zinit.files.service import Service
    from zinit.life.seam import System

POWEROFF = "poweroff"
REBOOT = "reboot"
# In a shutdown nobody's health is looked at any more: the order alone says who stops when.
HEALTH = (r.START_LATE, r.PING_LATE, r.PROBE_DUE, r.PROBE_LATE)


class Manager:
    """All units, their timers and the work that is queued."""

    def __init__(self, system: "System", load: "Callable[[str], Service]") -> None:
        self.system = system
        self.load = load  # the service of a name; raises OSError or ConfigError
        self.units: dict[str, Unit] = {}
        self.dependencies = Dependencies(self.units)
        self.goal = ""  # "", POWEROFF or REBOOT
        self.timers = Timers()
        self.launcher = Launcher(system, self.feed, self._is_known)
        self._events: list[tuple[Unit, Event]] = []
        self._is_draining = False
        self._closing: Closing | None = None
        self._carriers: dict[str, Callable[[Unit, Action], None]] = {
            "check": self._check,
            "spawn": self._queue_spawn,
            "probe": self._queue_probe,
            "end_probe": self._end_probe,
            "signal": self._signal,
            "sweep": self._sweep,
            "arm": self._arm,
            "drop": self._drop,
            "disarm": self._disarm,
            "announce": self._announce,
            "report": self._report,
        }

    # What clients ask for

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
        after = {dep: self._shown(dep) for dep in sorted(record.service.edges)}
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
        self.add([self.load(name)])
        self._hasten(self.units[name])

    def start(self, name: str) -> None:
        """Want it up."""
        self._refuse_in_shutdown()
        unit = self.find(name)
        self.feed(unit, Event(r.START))
        self._hasten(unit)

    def stop(self, name: str) -> None:
        """Want it down; returns at once."""
        self.feed(self.find(name), Event(r.STOP))

    def restart(self, name: str) -> None:
        """Stop it, and start it again when it is down; returns at once."""
        self._refuse_in_shutdown()
        unit = self.find(name)
        self.feed(unit, Event(r.STOP))
        self.feed(unit, Event(r.START))
        self._hasten(unit)

    def forget(self, name: str) -> None:
        """Drop a service that is down."""
        unit = self.find(name)
        if unit.record.target_up or unit.record.has_process:
            raise CommandError("up", f'service "{name}" is up')
        self._remove(unit)

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

    def reload_service(self, name: str) -> None:
        """Let a service read its own configuration again, as its `reload` key says."""
        unit = self.find(name)
        how = unit.record.service.reload
        if not how:
            raise CommandError("reload", f'service "{name}" has no reload key')
        if not unit.record.has_process:
            raise CommandError("down", f'service "{name}" is down')
        if how in NUMBERS:
            self.system.kill_group(unit.record.pid, NUMBERS[how])
            return
        try:
            self.launcher.launch(unit, TASK, f"{name}/reload", how)
        except (OSError, ValueError) as error:
            raise CommandError("reload", f'service "{name}" cannot reload: {error}') from None

    def shut_down(self, goal: str) -> None:
        """Stop everything in order; `is_finished` tells when that is done."""
        self._refuse_in_shutdown()
        self.goal = goal
        for unit in list(self.units.values()):  # what has no process yet must not get one
            if not unit.record.has_process:
                self.feed(unit, Event(r.STOP))
        self.resume_shutdown(goal, StopOrder(self.dependencies.edges()))

    def resume_shutdown(self, goal: str, order: StopOrder) -> None:
        """Stop what still runs, in order."""
        self.goal = goal
        self._closing = Closing(order, self._stop_now)
        self._closing.begin()

    @property
    def is_finished(self) -> bool:
        """Whether a shutdown is through."""
        return self._closing is not None and self._closing.is_finished

    # What the world says

    def add(self, services: "Iterable[Service]") -> None:
        """Monitor services and want them up."""
        units = [Unit(service) for service in services]
        for unit in units:  # all are known before the first is started
            self.units[unit.name] = unit
            self.dependencies.link(unit)
        self.system.reserve_files(len(self.units))
        for unit in units:
            self.feed(unit, Event(r.START))

    def report_cycles(self) -> None:
        """Tell of services that wait for each other: they never start."""
        after = {
            name: unit.record.service.after + unit.record.service.requires
            for name, unit in self.units.items()
            if unit.record.service.edges
        }
        for names in find_cycles(after):
            self.system.report(f"these wait for each other and never start: {', '.join(names)}")

    def on_exit(self, pid: int, status: int) -> None:
        """A child has ended and was reaped; pids that are nobody's are orphans."""
        unit, kind = self.launcher.pids.pop(pid, (None, ""))
        if unit is None:
            return
        if kind == MAIN:
            self.feed(unit, Event(r.EXITED, status))
        elif kind == TASK:
            if status:
                self.system.report(f"{unit.name}: its reload command failed")
        elif unit.probe_pid == pid:
            unit.probe_pid = 0
            if not self.goal:
                self.feed(unit, Event(r.PROBE_FAILED if status else r.PROBE_PASSED))

    def on_notify(self, name: str, pid: int, lines: list[bytes]) -> None:
        """The process `pid` of `name` says something over its readiness channel."""
        unit = self.units.get(name)
        if unit is None or unit.record.pid != pid:
            return
        if b"READY=1" in lines and unit.record.service.ready:
            self.feed(unit, Event(r.READY))
        if b"WATCHDOG=1" in lines:
            self.feed(unit, Event(r.PING))

    def on_time(self, now: float) -> None:
        """Send the events of all timers that are due."""
        for unit, kind in self.timers.due(now):
            if not self.goal or kind not in HEALTH:
                self.feed(unit, Event(kind))

    # Events

    def feed(self, unit: Unit, event: Event) -> None:
        """Let `event` happen to `unit`, after what is happening already."""
        self._events.append((unit, event))
        if self._is_draining:
            return
        self._is_draining = True
        try:
            at = 0
            while at < len(self._events):
                unit, event = self._events[at]
                at += 1
                try:
                    self._apply(unit, event)
                except Exception as error:
                    self.system.fault(error)
        finally:
            self._events.clear()
            self._is_draining = False

    def _apply(self, unit: Unit, event: Event) -> None:
        if not self._is_known(unit):
            return
        now = self.system.now()
        unit.record, actions = step(unit.record, event, now)
        unit.is_new = False
        self._note_time(unit, now)
        for action in actions:
            self._carriers[action.kind](unit, action)
        record = unit.record
        if self._closing is not None and record.is_down:
            self._closing.on_down(unit.name)
        if self.goal and record.target_up and not record.has_process:
            self.feed(unit, Event(r.STOP))  # what ends by itself does not come back now
        if unit.is_leaving and not record.has_process and not record.target_up:
            self._remove(unit)

    def _note_time(self, unit: Unit, now: float) -> None:
        """Keep the first time of each stage, for `analyze`."""
        record = unit.record
        if record.phase == r.BLOCKED:
            unit.times.setdefault("blocked", now)
        elif record.has_process:
            unit.times.setdefault("spawned", now)
        if record.satisfies:
            unit.times.setdefault("ready", now)

    def _is_known(self, unit: Unit) -> bool:
        return self.units.get(unit.name) is unit

    # Carrying out

    def _check(self, unit: Unit, _: Action) -> None:
        unit.unmet = self.dependencies.unmet(unit.record.service)
        if not unit.unmet:
            self.feed(unit, Event(r.UNBLOCKED))

    def _announce(self, unit: Unit, _: Action) -> None:
        for dependent in self.dependencies.dependents(unit.name):
            record = dependent.record
            if record.phase == r.BLOCKED:
                if self.dependencies.is_met(record.service, unit.name):
                    dependent.unmet.discard(unit.name)
                    if not dependent.unmet:
                        self._check(dependent, CHECK)
            elif unit.record.is_lost and unit.name in record.service.requires and not self.goal:
                self.feed(dependent, Event(r.LOST, text=unit.name))

    def _queue_spawn(self, unit: Unit, _: Action) -> None:
        self.launcher.queue(unit)

    def _queue_probe(self, unit: Unit, _: Action) -> None:
        self.launcher.queue_probe(unit)

    def _hasten(self, unit: Unit) -> None:
        """Spawn at once what a client asked for, so that its next question sees the process."""
        if unit.record.phase == r.SPAWNING:
            self.launcher.spawn([unit])

    def _end_probe(self, unit: Unit, _: Action) -> None:
        self.launcher.drop_probe(unit)
        pid, unit.probe_pid = unit.probe_pid, 0
        if pid:
            self.system.kill_group(pid, SIGKILL)

    def _signal(self, unit: Unit, action: Action) -> None:
        self.system.kill_group(unit.record.pid, action.number)
        if action.number == SIGKILL and unit.record.service.kill_cgroup:
            self.system.kill_cgroup(unit.record.service)

    def _sweep(self, unit: Unit, _: Action) -> None:
        if unit.record.service.kill_cgroup:
            self.system.kill_cgroup(unit.record.service)

    def _arm(self, unit: Unit, action: Action) -> None:
        self.timers.arm(unit, action.text, action.at)

    def _drop(self, unit: Unit, action: Action) -> None:
        unit.timers.pop(action.text, None)

    def _disarm(self, unit: Unit, _: Action) -> None:
        unit.timers.clear()

    def _report(self, unit: Unit, action: Action) -> None:
        self.system.report(f"{unit.name}: {action.text}")

    # Units come and go

    def _remove(self, unit: Unit) -> None:
        del self.units[unit.name]
        unit.timers.clear()
        self.dependencies.unlink(unit)

    def adopt(self, unit: Unit) -> None:
        """Take a unit over as it is."""
        self.units[unit.name] = unit
        self.dependencies.link(unit)

    def lose_process(self, unit: Unit, status: int) -> None:
        """The end of the unit's process was missed."""
        self.feed(unit, Event(r.EXITED, status))

    def replace(self, unit: Unit, service: "Service") -> None:
        """Let `unit` follow a changed service file."""
        changed = unit.record.service.differing(service)
        self.dependencies.unlink(unit)
        unit.record = unit.record.copy()
        unit.record.service = service
        self.dependencies.link(unit)
        phase = unit.record.phase
        if changed - service.LIVE or phase == r.BLOCKED:
            self.feed(unit, Event(r.CHANGED))
        elif phase == r.STARTING and "test" in changed:
            self.timers.arm(unit, r.PROBE_DUE, self.system.now())
        elif phase == r.RUNNING and "liveness" in changed and not service.oneshot:
            self.timers.arm(unit, r.PROBE_DUE, self.system.now() + service.liveness_interval_s)

    def dismiss(self, unit: Unit) -> None:
        """Stop a unit whose file is gone, and forget it when it is down."""
        unit.is_leaving = True
        self.feed(unit, Event(r.STOP))

    def keep(self, unit: Unit) -> None:
        """Want a unit up whose file is there again before it was forgotten."""
        unit.is_leaving = False
        self.feed(unit, Event(r.START))

    # Shutting down

    def _refuse_in_shutdown(self) -> None:
        if self.goal:
            raise CommandError("shutdown", "zinit is shutting down")

    def _stop_now(self, name: str) -> bool:
        """In a shutdown: tell `name` to stop; return whether it is down."""
        unit = self.units.get(name)
        if unit is not None and unit.record.target_up:
            self.feed(unit, Event(r.STOP))
        return unit is None or unit.record.is_down

    def _shown(self, name: str) -> str:
        unit = self.units.get(name)
        return unit.record.shown if unit else "Unknown"
