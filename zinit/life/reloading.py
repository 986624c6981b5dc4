"""`zinit reload`: the running services follow the service folder.

It works in steps, because thousands of files take longer than clients should wait. All files are
read and parsed before anything changes, so that a service follows its old file or its
new one, never a mixture. A service whose file is bad (or half written) stays as it is.
"""

from zinit.files.nodes import ConfigError
from zinit.files.service import LIVE_ATTRIBUTES
from zinit.life import record as r
from zinit.life.record import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from zinit.files.folder import Folder
    from zinit.files.service import Service
    from zinit.life.manager import Manager
    from zinit.life.unit import Unit


def reload(manager: "Manager", folder: "Folder") -> "dict[str, object]":
    """Apply all changed files at once; see `follow`."""
    steps = follow(manager, folder)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: dict[str, object] = end.value
            return result


def follow(manager: "Manager", folder: "Folder") -> "Generator[None, None, dict[str, object]]":
    """Apply all changed files; yields often, so that the caller can do other work in between.

    Returns the names of the services that were added, changed, restarted and removed, and as
    `failed` the bad files: name -> reason. Raises OSError if the folder cannot be read.
    """
    wanted, failed = yield from read_folder(manager, folder)
    done: dict[str, list[str]] = {"added": [], "changed": [], "restarted": [], "removed": []}
    changes: list[Change] = []
    for name, unit in list(manager.units.items()):
        yield
        if manager.units.get(name) is not unit:
            continue  # a client has dropped it meanwhile
        service = wanted.pop(name, None)
        if service is None:
            if name not in failed:
                dismiss(manager, unit)
                done["removed"].append(name)
            continue
        change = Change(unit, service)
        if unit.is_leaving:
            keep(manager, unit)
            done["added"].append(name)
        elif change.attributes:
            done["changed" if change.is_live else "restarted"].append(name)
        if change.attributes:
            change.swap(manager)
            changes.append(change)
    for change in changes:
        change.take_effect(manager)
        yield
    yield from manager.add_in_steps([wanted[name] for name in sorted(wanted)])
    manager.report_cycles()
    return {**done, "added": sorted([*done["added"], *wanted]), "failed": failed}


def read_folder(
    manager: "Manager", folder: "Folder"
) -> "Generator[None, None, tuple[dict[str, Service], dict[str, str]]]":
    """Return the services of all good files, and for each bad file the reason.

    A monitored service whose file is a symbolic link is included.
    """
    services: dict[str, Service] = {}
    failed: dict[str, str] = {}
    for name in dict.fromkeys([*folder.names(), *manager.units]):
        yield
        try:
            services[name] = folder.load(name)
        except FileNotFoundError:
            continue
        except (OSError, ConfigError) as error:
            failed[name] = str(error)
    return services, failed


class Change:
    """A unit and the service that its changed file describes.

    All units get their new services before the first change takes effect, so that the dependencies
    are computed once.
    """

    __slots__ = ("_pid", "_service", "_unit", "attributes", "is_live")

    def __init__(self, unit: "Unit", service: "Service") -> None:
        self._unit = unit
        self._service = service
        self._pid = unit.record.pid
        self.attributes = unit.record.service.differing(service)
        self.is_live = self.attributes <= LIVE_ATTRIBUTES or not unit.record.has_process

    def swap(self, manager: "Manager") -> None:
        """Give the unit its new service."""
        unit = self._unit
        manager.dependencies.relink(unit, self._service)
        unit.record = unit.record.copy()
        unit.record.service = self._service

    def take_effect(self, manager: "Manager") -> None:
        """Let the unit follow its new service, with a restart if that is necessary."""
        unit, service = self._unit, self._service
        if unit.record.service is not service:
            return  # it has changed again
        phase = unit.record.phase
        is_old = unit.record.pid in (self._pid, 0)  # or else it was started since, as it should be
        if (not self.attributes <= LIVE_ATTRIBUTES and is_old) or phase == r.BLOCKED:
            manager.feed(unit, Event(r.CHANGED))
        elif phase == r.STARTING and "test" in self.attributes:
            manager.timers.arm(unit, r.PROBE_DUE, manager.system.now())
        elif phase == r.RUNNING and "liveness" in self.attributes and not service.oneshot:
            due = manager.system.now() + service.liveness_interval_s
            manager.timers.arm(unit, r.PROBE_DUE, due)


def replace(manager: "Manager", unit: "Unit", service: "Service") -> None:
    """Let `unit` follow its changed service file, with a restart if that is necessary."""
    change = Change(unit, service)
    change.swap(manager)
    change.take_effect(manager)


def dismiss(manager: "Manager", unit: "Unit") -> None:
    """Stop a unit whose file is gone; it is removed when it is down."""
    unit.is_leaving = True
    manager.feed(unit, Event(r.STOP))


def keep(manager: "Manager", unit: "Unit") -> None:
    """Start a unit whose file is back before the unit was removed."""
    unit.is_leaving = False
    manager.feed(unit, Event(r.START))
