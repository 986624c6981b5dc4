"""Installs the services of a flist's root file system in the node's zinit.

Core-0's services are those named `core-…`; no other flist may have such a name. Service files are
handed over byte for byte: zinit alone reads them, and names the file and the line as their author
knows them. What the node sets over each file stands beside it, in an override.
"""

import os
import stat
from pathlib import Path

import yaml

from common.files import write_atomic
from node.flists.model import CORE_PREFIX, MOUNT_PREFIX
from node.model import NodeError

SUFFIX = ".yaml"
OVERRIDE_SUFFIX = ".override"
NAME_MAX = 255  # <linux/limits.h>
MAX_SERVICE_BYTES = (1 << 20) + 1  # one more than zinit takes, so it refuses the rest itself


def read_services(root: Path) -> dict[str, bytes]:
    """Return the content of `etc/zinit/*.yaml` of the tree at `root`, by service name.

    As in upstream's zinit, only regular files count.
    """
    folder = root / "etc" / "zinit"
    if not is_inside(root, folder):
        raise NodeError("cannot start services: etc/zinit is a link that leads out of the flist")
    if not folder.is_dir():
        raise NodeError("cannot start services: the flist has no folder etc/zinit")
    files = sorted(folder.glob(f"*{SUFFIX}"))
    return {file.name.removesuffix(SUFFIX): read_regular(file) for file in files if is_file(file)}


def is_inside(root: Path, path: Path) -> bool:
    """Return whether `path`, with all links followed, is in the tree at `root`."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def is_long(name: str) -> bool:
    """Return whether a service's name is too long for the name of its override."""
    return len(os.fsencode(name + OVERRIDE_SUFFIX)) > NAME_MAX


def is_file(path: Path) -> bool:
    """Return whether `path` itself, not a link's target, is a regular file."""
    return stat.S_ISREG(path.lstat().st_mode)


def read_regular(path: Path) -> bytes:
    """Return the content of `path`; a symbolic link is an error, as it may lead out of the tree."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as stream:
        return stream.read(MAX_SERVICE_BYTES)


def override_text(root: Path, after: str) -> bytes:
    """Return the override of a service that runs in `root` and starts after the service `after`."""
    return yaml.dump({"root": str(root), "after": [after]}, default_flow_style=False).encode()


def find_installed(folder: Path, root: Path) -> list[str]:
    """Return the names of the services in `folder` that run in `root` or below it."""
    names = []
    for file in sorted(folder.glob(f"*{OVERRIDE_SUFFIX}")):
        try:
            place = read_root(read_regular(file)) if is_file(file) else ""
        except OSError:
            continue
        if place and ".." not in place and Path(place).is_relative_to(root):
            names.append(file.name.removesuffix(OVERRIDE_SUFFIX))
    return names


def read_root(override: bytes) -> str:
    """Return the root that an override sets, "" if it sets none."""
    try:
        value = yaml.safe_load(override)
    except yaml.YAMLError:
        return ""
    return str(value.get("root", "")) if isinstance(value, dict) else ""


def sort_out(
    services: dict[str, bytes], is_core: bool, taken: set[str]
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the services that may be installed, and why each of the others may not.

    `taken` are the names of the node's own services.
    """
    refused = {}
    for name in services:
        if name in taken or name.startswith(MOUNT_PREFIX):
            refused[name] = "the node itself has a service of that name"
        elif name.startswith(CORE_PREFIX) != is_core:
            whose = "are Core-0's alone" if not is_core else "are all that Core-0 may have"
            refused[name] = f"names that begin with {CORE_PREFIX} {whose}"
        elif is_long(name):
            refused[name] = "its name is too long"
    return {name: services[name] for name in services if name not in refused}, refused


def install_services(services: dict[str, bytes], folder: Path, override: bytes) -> list[str]:
    """Write each service to `folder`, with its override; return their names.

    The override comes first: zinit never sees a file without it.
    """
    for name, data in services.items():
        write_atomic(folder / f"{name}{OVERRIDE_SUFFIX}", override)
        write_atomic(folder / f"{name}{SUFFIX}", data)
    return list(services)


def remove_service(folder: Path, name: str) -> None:
    """Remove the files of a service that `install_services` wrote, the override last."""
    (folder / f"{name}{SUFFIX}").unlink(missing_ok=True)
    (folder / f"{name}{OVERRIDE_SUFFIX}").unlink(missing_ok=True)
