"""`zinit reload`: the running services follow the service folder.

All files are read and parsed before anything changes, so that a service follows its old file or its
new one, never a mixture. A service whose file is bad (or half written) stays as it is.
"""

from zinit.files.nodes import ConfigError
from zinit.files.service import LIVE_ATTRIBUTES
from zinit.life import record as r
from zinit.life.record import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.files.folder import Folder
    from zinit.files.service import Service
    from zinit.life.manager import Manager
    from zinit.life.unit import Unit


def reload(manager: "Manager", folder: "Folder") -> "dict[str, object]":
    """Apply all changed files.

    Returns the names of the services that were added, changed, restarted and removed, and as
    `failed` the bad files: name -> reason. Raises OSError if the folder cannot be read.
    """
    wanted, failed = read_folder(manager, folder)
    added: list[str] = []
    changed: list[str] = []
    restarted: list[str] = []
    removed: list[str] = []
    for name, unit in list(manager.units.items()):
        service = wanted.pop(name, None)
        if service is None:
            if name not in failed:
                dismiss(manager, unit)
                removed.append(name)
            continue
        differing = unit.record.service.differing(service)
        if unit.is_leaving:
            keep(manager, unit)
            added.append(name)
        elif not differing:
            continue
        else:
            is_live = differing <= LIVE_ATTRIBUTES or not unit.record.has_process
            (changed if is_live else restarted).append(name)
        if differing:
            replace(manager, unit, service)
    manager.add([wanted[name] for name in sorted(wanted)])
    manager.report_cycles()
    return {
        "added": sorted([*added, *wanted]),
        "changed": changed,
        "restarted": restarted,
        "removed": removed,
        "failed": failed,
    }


def read_folder(
    manager: "Manager", folder: "Folder"
) -> "tuple[dict[str, Service], dict[str, str]]":
    """Return the services of all good files, and for each bad file the reason.

    A monitored service whose file is a symbolic link is included.
    """
    services: dict[str, Service] = {}
    failed: dict[str, str] = {}
    for name in dict.fromkeys([*folder.names(), *manager.units]):
        try:
            services[name] = folder.load(name)
        except FileNotFoundError:
            continue
        except (OSError, ConfigError) as error:
            failed[name] = str(error)
    return services, failed


def replace(manager: "Manager", unit: "Unit", service: "Service") -> None:
    """Let `unit` follow its changed service file, with a restart if that is necessary."""
    changed = unit.record.service.differing(service)
    manager.dependencies.unlink(unit)
    unit.record = unit.record.copy()
    unit.record.service = service
    manager.dependencies.link(unit)
    phase = unit.record.phase
    if not changed <= LIVE_ATTRIBUTES or phase == r.BLOCKED:
        manager.feed(unit, Event(r.CHANGED))
    elif phase == r.STARTING and "test" in changed:
        manager.timers.arm(unit, r.PROBE_DUE, manager.system.now())
    elif phase == r.RUNNING and "liveness" in changed and not service.oneshot:
        due = manager.system.now() + service.liveness_interval_s
        manager.timers.arm(unit, r.PROBE_DUE, due)


def dismiss(manager: "Manager", unit: "Unit") -> None:
    """Stop a unit whose file is gone; it is removed when it is down."""
    unit.is_leaving = True
    manager.feed(unit, Event(r.STOP))


def keep(manager: "Manager", unit: "Unit") -> None:
    """Start a unit whose file is back before the unit was removed."""
    unit.is_leaving = False
    manager.feed(unit, Event(r.START))
