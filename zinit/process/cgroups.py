"""Control groups (version 2), one for each service whose file has `cgroup`."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.files.service import Service

TOPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
PARENT = "zinit"
CONTROLLERS = ("memory", "cpu", "pids")
LIMITS = ("memory.max", "cpu.max", "pids.max")


def find_top() -> str:
    """Return the mount point of version 2; raises OSError if it is not mounted."""
    for top in TOPS:
        if os.path.exists(f"{top}/cgroup.controllers"):
            return top
    raise FileNotFoundError(2, "No control groups (version 2) are mounted", TOPS[0])


def folder_of(service: "Service") -> str:
    """Return the folder of a service's group."""
    return f"{find_top()}/{PARENT}/{service.name.replace('/', '_')}"


def write(path: str, text: str) -> None:
    """Write one control file."""
    with open(path, "w", encoding="ascii") as stream:
        stream.write(text)


def prepare(service: "Service", report: "Callable[[str], None]") -> str:
    """Make the service's group and set its limits; return its folder.

    A limit whose controller is missing is reported and does not keep the service from running.
    """
    folder = folder_of(service)
    parent = os.path.dirname(folder)
    os.makedirs(folder, exist_ok=True)
    for level in (os.path.dirname(parent), parent):
        for controller in CONTROLLERS:
            try:
                write(f"{level}/cgroup.subtree_control", f"+{controller}")
            except OSError:
                pass  # missing or already enabled; a limit that cannot be set is reported below
    wanted = service.cgroup or {}
    for name in LIMITS:  # also those that the service file no longer sets
        try:
            write(f"{folder}/{name}", wanted.get(name, "max"))
        except OSError as error:
            if name in wanted:
                report(f"{service.name}: cannot limit {name}: {error.strerror}")
    return folder


def remove(service: "Service") -> None:
    """Remove the service's group, unless processes that it has left behind are still in it."""
    try:
        os.rmdir(folder_of(service))
    except OSError:
        pass  # it is in use, or was never made


def kill(service: "Service") -> None:
    """Kill every process of the group; raises OSError."""
    folder = folder_of(service)
    if os.path.isdir(folder):
        write(f"{folder}/cgroup.kill", "1")
