"""Runs all services: feeds events to the state machine and has its actions carried out.

Everything that touches the world goes through `system` (see `seam.py`), so the manager also runs
on a fake clock and without processes. Events are queued and handled one by one, never by recursion;
spawns wait in the launcher. An event whose handling fails is reported and dropped, and the others
go on.
"""

from zinit.files.signals import NUMBERS, SIGKILL, parse_signal
from zinit.life import outcome as o
from zinit.life import record as r
from zinit.life.carrier import Carrier
from zinit.life.dependencies import Dependencies
from zinit.life.graph import StopOrder, find_cycles
from zinit.life.launcher import Launcher
from zinit.life.machine import step
from zinit.life.outcome import Outcome
from zinit.life.record import Event
from zinit.life.timers import Timers
from zinit.life.unit import MAIN, PROBE, TASK, CommandError, Unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from zinit.files.service import Service
    from zinit.life.seam import System
    from zinit.life.shutdown import Closing

POWEROFF = "poweroff"
REBOOT = "reboot"
# Events about health and dependencies, which a shutdown ignores: it stops services by order alone.
HEALTH = (
    r.START_LATE, r.PING_LATE, r.PROBE_DUE, r.PROBE_LATE, r.PROBE_PASSED, r.PROBE_FAILED, r.LOST,
)  # fmt: skip


class Manager:
    """All units, their timers and the queued work."""

    def __init__(self, system: "System", load: "Callable[[str], Service]") -> None:
        self.system = system
        self.load = load  # returns the service of a name; raises OSError or ConfigError
        self.units: dict[str, Unit] = {}
        self.dependencies = Dependencies(self.units)
        self.goal = ""  # of a shutdown: POWEROFF or REBOOT
        self.timers = Timers()
        self.launcher = Launcher(system, self.feed, self._is_known)
        self._carrier = Carrier(system, self.dependencies, self.timers, self.launcher, self.feed)
        self._events: list[tuple[Unit, Event]] = []
        self._is_draining = False
        self._closing: Closing | None = None

    # Commands and queries of clients

    def find(self, name: str) -> Unit:
        """Return the unit called `name`; raises `CommandError`."""
        unit = self.units.get(name)
        if unit is None:
            raise CommandError("unknown", f'service name "{name}" unknown')
        return unit

    def list_states(self) -> dict[str, str]:
        """Return the outcome of every service as text, by name."""
        return {name: self._show(name) for name in sorted(self.units)}

    def status(self, name: str) -> "dict[str, object]":
        """Return what `zinit status` prints."""
        record = self.find(name).record
        return {
            "name": name,
            "pid": record.pid,
            "state": self._show(name),
            "target": "Up" if record.target_up else "Down",
            "after": {edge: self._show(edge) for edge in sorted(record.service.edges)},
        }

    def _show(self, name: str) -> str:
        unit = self.units.get(name)
        return str(unit.record.outcome if unit else Outcome(o.UNKNOWN))

    def monitor(self, name: str) -> None:
        """Load the service file of `name` and start the service."""
        self._refuse_in_shutdown()
        if name in self.units:
            raise CommandError("monitored", f'service "{name}" already monitored')
        self.add([self.load(name)])
        self._hasten(self.units[name])

    def start(self, name: str) -> None:
        """Start a service as soon as its dependencies are met."""
        self._refuse_in_shutdown()
        unit = self.find(name)
        self.feed(unit, Event(r.START))
        self._hasten(unit)

    def _hasten(self, unit: Unit) -> None:
        """Spawn now what a client has started, so that the client's next query sees the process."""
        if unit.record.phase == r.SPAWNING:
            self.launcher.spawn([unit])

    def stop(self, name: str) -> None:
        """Stop a service, without waiting for its end."""
        self.feed(self.find(name), Event(r.STOP))

    def restart(self, name: str) -> None:
        """Stop it, and start it again when it is down; returns at once."""
        self._refuse_in_shutdown()
        unit = self.find(name)
        self.feed(unit, Event(r.STOP))
        self.feed(unit, Event(r.START))
        self._hasten(unit)

    def forget(self, name: str) -> None:
        """Stop monitoring a service that is down."""
        unit = self.find(name)
        if unit.record.target_up or unit.record.has_process:
            raise CommandError("up", f'service "{name}" is up')
        self._remove(unit)

    def kill(self, name: str, signal: str) -> None:
        """Send a signal, given by its full name, to the service's process group."""
        unit = self._find_running(name)
        try:
            number = parse_signal(signal)
        except ValueError:
            raise CommandError("signal", "EINVAL: Invalid argument", signal) from None
        self.launcher.signal(unit, number)

    def reload_service(self, name: str) -> None:
        """Make a service reload its own configuration, as its `reload` key says."""
        how = self.find(name).record.service.reload
        if not how:
            raise CommandError("reload", f'service "{name}" has no reload key')
        unit = self._find_running(name)
        if how in NUMBERS:
            self.launcher.signal(unit, NUMBERS[how])
            return
        try:
            self.launcher.launch(unit, TASK, f"{name}/reload", how)
        except (OSError, ValueError) as error:
            raise CommandError("reload", f'service "{name}" cannot reload: {error}') from None

    def _find_running(self, name: str) -> Unit:
        unit = self.find(name)
        if not unit.record.has_process:
            raise CommandError("down", f'service "{name}" is down')
        return unit

    # Units

    def add(self, services: "Iterable[Service]") -> None:
        """Monitor services and start them."""
        for _ in self.add_in_steps(services):
            pass

    def add_in_steps(self, services: "Iterable[Service]") -> "Iterator[None]":
        """Monitor services that are unknown until now, and start them; yields after each."""
        units = []
        for service in services:  # all are known before the first one starts
            if service.name not in self.units:
                units.append(Unit(service))
                self._adopt(units[-1])
                yield
        self.system.reserve_files(len(self.units))
        for unit in units:
            self.feed(unit, Event(r.START))
            yield

    def _adopt(self, unit: Unit) -> None:
        self.units[unit.name] = unit
        self.dependencies.link(unit)

    def _remove(self, unit: Unit) -> None:
        del self.units[unit.name]
        unit.timers.clear()
        self.dependencies.unlink(unit)
        self.system.forget(unit.record.service)

    def _is_known(self, unit: Unit) -> bool:
        return self.units.get(unit.name) is unit

    def report_cycles(self) -> None:
        """Report the services that never start because they wait for each other."""
        after = {
            name: unit.record.service.after + unit.record.service.requires
            for name, unit in self.units.items()
            if unit.record.service.edges
        }
        for names in find_cycles(after):
            self.system.report(f"these wait for each other and never start: {', '.join(names)}")

    # What happens

    def on_exit(self, pid: int, status: int) -> None:
        """Handle the end of a child that was reaped; an unknown pid was an orphan's."""
        unit, kind = self.launcher.pids.pop(pid, (None, ""))
        if unit is None:
            return
        is_left = self.system.has_group(pid)
        if kind == MAIN:
            self.feed(unit, Event(r.LEFT if is_left else r.EXITED, status))
            return
        if kind == PROBE and is_left:
            self.system.kill_group(pid, SIGKILL)
        if kind == TASK:
            if status:
                self.system.report(f"{unit.name}: its reload command failed")
        elif unit.probe_pid == pid:
            unit.probe_pid = 0
            self.feed(unit, Event(r.PROBE_FAILED if status else r.PROBE_PASSED))

    def lose_process(self, unit: Unit, status: int) -> None:
        """Handle the end of a unit's process that nobody has seen."""
        self.feed(unit, Event(r.EXITED, status))

    def on_notify(self, name: str, pid: int, lines: list[bytes]) -> None:
        """Handle what process `pid` of service `name` sent over its readiness channel."""
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
            self.feed(unit, Event(kind))

    def feed(self, unit: Unit, event: Event) -> None:
        """Handle `event` for `unit`; within the handling of another event, after that one."""
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
        if not self._is_known(unit) or (self.goal and event.kind in HEALTH):
            return
        now = self.system.now()
        unit.record, actions = step(unit.record, event, now)
        unit.is_new = False
        unit.note_time(now)
        for action in actions:
            self._carrier.carry_out(unit, action)
        record = unit.record
        if self._closing is not None and record.is_down:
            self._closing.on_down(unit.name)
        if self.goal and record.target_up and not record.has_process:
            self.feed(unit, Event(r.STOP))  # no restarts in a shutdown
        if unit.is_leaving and not record.has_process and not record.target_up:
            self._remove(unit)

    # Shutdown

    def shut_down(self, goal: str) -> None:
        """Stop all services in order; `is_finished` tells when they are down."""
        self._refuse_in_shutdown()
        self.goal = goal
        for unit in list(self.units.values()):  # no new processes
            if not unit.record.has_process:
                self.feed(unit, Event(r.STOP))
        self._close()

    def _close(self) -> None:
        from zinit.life.shutdown import Closing

        self._closing = Closing(StopOrder(self.dependencies.edges()), self._stop_now)
        self._closing.begin()

    def _stop_now(self, name: str) -> bool:
        """Stop a service during a shutdown; return whether it is down."""
        unit = self.units.get(name)
        if unit is not None and unit.record.target_up:
            self.feed(unit, Event(r.STOP))
        return unit is None or unit.record.is_down

    def _refuse_in_shutdown(self) -> None:
        if self.goal:
            raise CommandError("shutdown", "zinit is shutting down")

    @property
    def is_finished(self) -> bool:
        """Whether a shutdown is complete."""
        return self._closing is not None and self._closing.is_finished

    # State for the next program

    def dump(self) -> "dict[str, Any]":
        """Return the state that `restore` takes, as JSON can hold it.

        Times are on the system's clock, which the next program shares.
        """
        return {
            "goal": self.goal,
            "units": [unit.dump() for unit in self.units.values()],
            "pids": self.launcher.dump(),
        }

    def restore(self, state: "dict[str, Any]") -> None:
        """Fill this empty manager with the state of another one, and go on."""
        for fields in state["units"]:
            try:
                self._restore_unit(fields)
            except Exception as error:
                self.system.report(f"cannot restore a service: {type(error).__name__}: {error}")
        self.launcher.restore(state["pids"], self.units)
        for unit in list(self.units.values()):
            self._resume(unit)
        self.goal = str(state["goal"])
        if self.goal:
            self._close()

    def _restore_unit(self, fields: "dict[str, Any]") -> None:
        unit = Unit.restore(fields)
        timers = {kind: float(at) for kind, at in fields.get("timers", {}).items()}
        self._adopt(unit)
        for kind, at in timers.items():
            self.timers.arm(unit, kind, at)

    def take_in(self, found: "Iterable[tuple[Service, int, bool]]") -> None:
        """Manage services of which only the pid (or 0) and the target are known."""
        units = [(Unit(service), pid, is_up) for service, pid, is_up in found]
        for unit, pid, is_up in units:
            self._adopt(unit)
            if pid:
                unit.record.take_in(pid, is_up, self.system.now())
                unit.is_new = False
                self.launcher.pids[pid] = (unit, MAIN)
                self._resume(unit)
        for unit, pid, is_up in units:
            if is_up and not pid:
                self.feed(unit, Event(r.START))

    def _resume(self, unit: Unit) -> None:
        """Queue again what was queued for a unit: queues are not part of the state."""
        phase = unit.record.phase
        if phase == r.BLOCKED:
            self.feed(unit, Event(r.CHANGED))
        elif phase == r.SPAWNING:
            self.launcher.queue(unit)
        elif phase == r.PAUSED and r.RESTART_DUE not in unit.timers:
            self.timers.arm(unit, r.RESTART_DUE, unit.record.not_before)
        elif phase == r.STOPPING:
            kinds = (r.KILL_DUE, r.LOOK_DUE) if unit.record.ended >= 0 else (r.KILL_DUE,)
            for kind in kinds:
                if kind not in unit.timers:
                    self.timers.arm(unit, kind, self.system.now())
        elif unit.lacks_probe:
            self.timers.arm(unit, r.PROBE_DUE, self.system.now())
