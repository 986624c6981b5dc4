"""`zinit reload`: what is running follows the service folder.

Every file is read and parsed before anything changes, so a service follows its old file or its new
one, never a mixture; a file that is bad (or half written) leaves its service as it is.
"""

from zinit.files.nodes import ConfigError
from zinit.files.service import LIVE_ATTRIBUTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.files.folder import Folder
    from zinit.files.service import Service
    from zinit.life.manager import Manager


def reload(manager: "Manager", folder: "Folder") -> "dict[str, object]":
    """Apply changed files; return the names by what was done, and what was refused."""
    wanted, failed = read_folder(manager, folder)
    added: list[str] = []
    changed: list[str] = []
    restarted: list[str] = []
    removed: list[str] = []
    for name, unit in list(manager.units.items()):
        service = wanted.pop(name, None)
        if service is None:
            if name not in failed:
                manager.dismiss(unit)
                removed.append(name)
            continue
        differing = unit.record.service.differing(service)
        if unit.is_leaving:
            manager.keep(unit)
            added.append(name)
        elif not differing:
            continue
        else:
            is_harmless = differing <= LIVE_ATTRIBUTES
            (changed if is_harmless or not unit.record.has_process else restarted).append(name)
        if differing:
            manager.replace(unit, service)
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
    """Return the services that the files describe, and the files that describe none.

    A service that was monitored through a symbolic link is followed too.
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
