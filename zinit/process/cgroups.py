"""Control groups (version 2): one per service that asks for it."""

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
    """Return where version 2 is mounted; raises OSError if it is not."""
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
    """Make the service's group with its limits; return its folder.

    A limit whose controller is not there is told, and does not keep the service from running.
    """
    folder = folder_of(service)
    parent = os.path.dirname(folder)
    os.makedirs(folder, exist_ok=True)
    for level in (os.path.dirname(parent), parent):
        for controller in CONTROLLERS:
            try:
                write(f"{level}/cgroup.subtree_control", f"+{controller}")
            except OSError:
                pass  # not there, or on already; what matters shows below
    wanted = service.cgroup or {}
    for name in LIMITS:  # one that its file does not have any more ends, too
        try:
            write(f"{folder}/{name}", wanted.get(name, "max"))
        except OSError as error:
            if name in wanted:
                report(f"{service.name}: cannot limit {name}: {error.strerror}")
    return folder


def kill(service: "Service") -> None:
    """End every process of the group; raises OSError."""
    folder = folder_of(service)
    if os.path.isdir(folder):
        write(f"{folder}/cgroup.kill", "1")


def is_empty(service: "Service") -> bool:
    """Tell whether no process is left in the group."""
    try:
        with open(f"{folder_of(service)}/cgroup.events", encoding="ascii") as stream:
            return "populated 0" in stream.read()
    except OSError:
        return True
