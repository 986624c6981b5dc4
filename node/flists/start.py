"""Starts and stops the services of a mounted flist in the node's zinit."""

import contextlib
import os
from functools import partial
from pathlib import Path

from common.errors import ZosError
from node.flists.model import CORE, FIRMWARE, FLISTS, Flist
from node.flists.services import (
    find_installed,
    install_services,
    is_inside,
    override_text,
    read_regular,
    read_services,
    remove_service,
    sort_out,
)
from node.log import log as write_log
from node.model import NodeError
from node.supervision import SERVICES, stop_service
from zinit.client.line import Client

USER_PREFIX = "zos-"

log = partial(write_log, "bringup")


def start_services(client: Client, flist: Flist) -> list[str]:
    """Add the flist's services to zinit; return those that it took.

    One that cannot be started costs only itself.
    """
    if flist.role == FIRMWARE:
        return []
    read_accounts(flist.root)
    if flist.role == CORE:
        make_folders(flist.root, flist.home.parent)
    services = read_services(flist.root)
    if not services:
        raise NodeError("cannot start services: the flist has none in etc/zinit")
    services, refused = sort_out(services, flist.role == CORE, own_services(client, flist.home))
    for name, reason in sorted(refused.items()):
        log(f"cannot start {ascii(name)[1:-1]}: {reason}")
    # Each starts after the mount and stops before it.
    override = override_text(flist.root, flist.service)
    names = install_services(services, SERVICES, override)
    for name in names:
        try:
            client.monitor(name)
        except ZosError as error:
            log(f"cannot start {ascii(name)[1:-1]}: {explain(client, name) or error}")
    known = client.list()
    return [name for name in names if name in known]


def read_accounts(root: Path) -> None:
    """Read the files of users and groups, so that the kernel has them.

    zinit reads them when it starts a service, and can't wait for a hub then.
    """
    for name in ("passwd", "group"):
        path = root / "etc" / name
        if is_inside(root, path):
            with contextlib.suppress(OSError):
                read_regular(path)


def make_folders(root: Path, run: Path) -> None:
    """Make the folder of each of Core-0's users, `NAME` in `run` for `zos-NAME`: the user's own,
    where the socket of its daemon is."""
    for line in read_regular(root / "etc" / "passwd").decode().splitlines():
        name, _, user, group, *_ = line.split(":")
        daemon = name.removeprefix(USER_PREFIX)
        if daemon != name and daemon.isalpha():
            folder = run / daemon
            folder.mkdir(mode=0o755, exist_ok=True)
            os.chown(folder, int(user), int(group), follow_symlinks=False)


def own_services(client: Client, flists: Path, folder: Path | None = None) -> set[str]:
    """Return the names of the node's own services, refused ones included."""
    folder = folder or SERVICES
    names = {*client.list(), *(file.stem for file in folder.glob("*.yaml"))}
    return names.difference(find_installed(folder, flists))


def explain(client: Client, name: str) -> str:
    """Return why zinit does not know a service: what it says about the file, and its line."""
    try:
        return client.reason(name)
    except ZosError:
        return ""


def stop_services(client: Client, top: Path = FLISTS) -> None:
    """Stop and remove the services whose roots are below `top`, by default those of all flists."""
    known = client.list()
    for name in find_installed(SERVICES, top):
        if name in known:
            stop_service(client, name)
        remove_service(SERVICES, name)
