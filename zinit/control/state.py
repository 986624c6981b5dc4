"""What a daemon knows, as plain data, so that another program can go on with it.

Pure: services, units and their timers to JSON's types and back. Times are on the monotonic clock,
which does not care about the change of programs.
"""

from zinit.files.service import Service
from zinit.life import record as r
from zinit.life.graph import StopOrder
from zinit.life.record import Event
from zinit.life.unit import Unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.life.manager import Manager

FORMAT = 1


def dump_manager(manager: "Manager") -> "dict[str, object]":
    """Return everything that the manager must not forget."""
    return {
        "goal": manager.goal,
        "units": [dump_unit(unit) for unit in manager.units.values()],
        "pids": [[pid, unit.name, kind] for pid, (unit, kind) in manager.launcher.pids.items()],
    }


def dump_unit(unit: Unit) -> "dict[str, object]":
    """Return one unit."""
    record = dict(vars(unit.record))
    service = record.pop("service")
    return {
        "service": {name: getattr(service, name) for name in Service.__slots__},
        "record": record,
        "probe_pid": unit.probe_pid,
        "timers": unit.timers,
        "times": unit.times,
        "is_leaving": unit.is_leaving,
    }


def load_unit(entry: "dict[str, dict[str, object]]") -> Unit:
    """Return the unit that `dump_unit` described; what this version does not know is left out."""
    fields = entry["service"]
    service = Service(str(fields["name"]))
    for name in Service.__slots__:
        if name in fields:
            setattr(service, name, like(getattr(service, name), fields[name]))
    unit = Unit(service)
    unit.is_new = False
    for name, value in entry["record"].items():
        if hasattr(unit.record, name):
            setattr(unit.record, name, like(getattr(unit.record, name), value))
    unit.probe_pid = int(str(entry["probe_pid"]))
    unit.is_leaving = bool(entry["is_leaving"])
    unit.times = {name: float(str(at)) for name, at in entry["times"].items()}
    return unit


def like(model: object, value: object) -> object:
    """Return a value from JSON with the type that it had: tuples come back as lists."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict) and value and isinstance(next(iter(value.values())), list):
        return {key: tuple(item) for key, item in value.items()}
    del model
    return value


def load_manager(manager: "Manager", state: "dict[str, object]") -> None:
    """Fill an empty manager, and let it go on."""
    entries = state["units"]
    assert isinstance(entries, list)
    for entry in entries:
        unit = load_unit(entry)
        manager.adopt(unit)
        for kind, at in entry["timers"].items():
            manager.timers.arm(unit, kind, float(at))
    pids = state["pids"]
    assert isinstance(pids, list)
    for pid, name, kind in pids:
        if name in manager.units:
            manager.launcher.pids[pid] = (manager.units[name], kind)
    go_on(manager, str(state["goal"]))


def go_on(manager: "Manager", goal: str) -> None:
    """Look at what waits again: it may have been forgotten in between."""
    for unit in list(manager.units.values()):
        phase = unit.record.phase
        if phase == r.BLOCKED:
            manager.feed(unit, Event(r.CHANGED))
        elif phase == r.SPAWNING:
            manager.launcher.queue(unit)
        elif phase == r.PAUSED and r.RESTART_DUE not in unit.timers:
            manager.timers.arm(unit, r.RESTART_DUE, unit.record.not_before)
        elif phase == r.STOPPING and r.KILL_DUE not in unit.timers:
            manager.timers.arm(unit, r.KILL_DUE, manager.system.now())
        elif is_probe_forgotten(unit):
            manager.timers.arm(unit, r.PROBE_DUE, manager.system.now())
    if goal:
        manager.resume_shutdown(goal, StopOrder(manager.dependencies.edges()))


def is_probe_forgotten(unit: Unit) -> bool:
    """Tell whether a test was to be run, and had not begun."""
    service, phase = unit.record.service, unit.record.phase
    if service.oneshot or unit.probe_pid or r.PROBE_DUE in unit.timers:
        return False
    return bool((phase == r.STARTING and service.test) or (phase == r.RUNNING and service.liveness))
