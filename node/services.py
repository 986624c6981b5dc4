"""Installs the services of a flist's root file system in the node's zinit."""

import os
import stat
from pathlib import Path
from typing import Any

import yaml

from common.files import write_atomic
from common.nesting import check_nesting
from node.model import NodeError

MAX_SERVICE_BYTES = 64 * 1024
MAX_DEPTH = 16


def read_services(root: Path) -> dict[str, dict[str, Any]]:
    """Return the parsed `etc/zinit/*.yaml` of the tree at `root`, by service name.

    As in upstream's zinit, only regular files count. Raises `NodeError` for a file that is not a
    mapping.
    """
    folder = root / "etc" / "zinit"
    if not folder.is_dir():
        raise NodeError("cannot start services: the flist has no folder etc/zinit")
    files = sorted(folder.glob("*.yaml"))
    return {
        file.stem: parse_service(file.name, read_regular(file)) for file in files if is_file(file)
    }


def is_file(path: Path) -> bool:
    """Return whether `path` itself, not a link's target, is a regular file."""
    return stat.S_ISREG(path.lstat().st_mode)


def read_regular(path: Path) -> bytes:
    """Return the content of `path`; a symbolic link is an error, as it may lead out of the tree."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as stream:
        data = stream.read(MAX_SERVICE_BYTES + 1)
    if len(data) > MAX_SERVICE_BYTES:
        raise NodeError(f"cannot use {path.name}: larger than {MAX_SERVICE_BYTES} bytes")
    return data


def parse_service(name: str, data: bytes) -> dict[str, Any]:
    """Parse a service file with all scalars as text; zinit checks their meaning."""
    try:
        check_nesting(data, MAX_DEPTH)
        service = yaml.load(data, Loader=yaml.CBaseLoader)  # noqa: S506 - BaseLoader creates only text
    except yaml.YAMLError as error:
        raise NodeError(f"cannot use the flist's {name}: {error}") from error
    if not isinstance(service, dict):
        raise NodeError(f"cannot use the flist's {name}: not a mapping")
    return service


def with_dependency(services: dict[str, dict[str, Any]], name: str) -> dict[str, dict[str, Any]]:
    """Return `services` with the dependency `name`: each starts after it and stops before it."""
    changed = {}
    for key, service in services.items():
        after = service.get("after", [])
        # zinit rejects anything but a list.
        changed[key] = {**service, "after": [*after, name]} if isinstance(after, list) else service
    return changed


def find_installed(root: Path, folder: Path) -> list[str]:
    """Return the names of the services in `folder` that run inside `root`."""
    names = []
    for file in sorted(folder.glob("*.yaml")):
        try:
            service = parse_service(file.name, read_regular(file))
        except (NodeError, OSError):
            continue
        if service.get("root") == str(root):
            names.append(file.stem)
    return names


def install_services(
    services: dict[str, dict[str, Any]], root: Path, folder: Path, taken: set[str]
) -> list[str]:
    """Write each service to `folder`, to run with `root` as its root; return their names.

    The names in `taken` belong to the node's own services. If a service has one of them, nothing
    is written and `NodeError` is raised.
    """
    clashes = sorted(taken.intersection(services))
    if clashes:
        raise NodeError(f"cannot start {clashes[0]}: the node itself has a service of that name")
    for name, service in services.items():
        text = yaml.dump({**service, "root": str(root)}, default_flow_style=False)
        write_atomic(folder / f"{name}.yaml", text.encode())
    return list(services)
