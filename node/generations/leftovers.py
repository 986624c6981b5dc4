"""Flists of earlier sets, from which services still run: each stays mounted as long as one does."""

from collections.abc import Iterable, Mapping
from functools import partial

from node.flists.model import FIRMWARE, Flist, Wanted
from node.flists.mounts import forget_flist, mount_flist
from node.flists.prepare import Preparer
from node.flists.services import find_installed, override_text, read_services
from node.generations.switch import Files, Services
from node.log import log as write_log
from node.nameservers import name_servers_of
from zinit.client.line import Client

log = partial(write_log, "bringup")


class Leftovers:
    """Follows the services that an update has left where they were.

    One whose process has ended since, or whose flist is no longer mounted, goes on from the newest
    flist of its role.
    """

    def __init__(self, services: Services) -> None:
        self.services = services
        self.flists: dict[str, Flist] = {}
        self.pids: dict[str, int] = {}

    def add(self, flists: Iterable[Flist]) -> None:
        """Look after these flists from now on, unless they belong to what runs."""
        self.flists |= {flist.sha256: flist for flist in flists}

    def find(self, sha256: str) -> Flist | None:
        """Return the flist with this digest if it is still mounted."""
        return self.flists.get(sha256)

    def of(self, role: str, running: Flist | None) -> list[Flist]:
        """Return all flists of a role from which services may run."""
        others = [flist for flist in self.flists.values() if flist.role == role]
        return [*([running] if running else []), *(one for one in others if one != running)]

    def look(self, running: Mapping[str, Flist]) -> None:
        """Move services that have ended to what runs now; unmount what nothing runs from."""
        current = {flist.sha256 for flist in running.values()}
        states = self.services.client.list()
        for sha256, flist in list(self.flists.items()):
            if sha256 in current:
                del self.flists[sha256]
                continue
            is_mounted = states.get(flist.service) == "Running"
            for name in find_installed(self.services.folder, flist.top):
                self.follow(name, running.get(flist.role), is_mounted)
            if flist.role == FIRMWARE or not find_installed(self.services.folder, flist.top):
                forget_flist(self.services.client, flist)
                del self.flists[sha256]
        self.pids = {name: pid for name, pid in self.pids.items() if name in states}

    def follow(self, name: str, now: Flist | None, is_mounted: bool) -> None:
        """Move one service if its process is no longer the one that was left running."""
        pid = self.services.pid(name)
        if is_mounted and pid and self.pids.setdefault(name, pid) == pid:
            return
        self.pids.pop(name, None)
        data = read_services(now.lower).get(name) if now else None
        if now is None or data is None:
            self.services.put(name, None)
            return
        log(f"update: {name} has ended, and goes on from the newest flist")
        self.services.put(name, Files(data, override_text(now.root, now.service)))


def mount_beside(
    client: Client, preparer: Preparer, wanted: Wanted, old: Flist | None, leftovers: Leftovers
) -> Flist | None:
    """Fetch, verify and mount a flist beside the one of its role that runs; return it.

    None: it is the same one. One that is still mounted from an earlier set is used as it is.
    """
    flist, sources = preparer.fetch(wanted)
    if old and old.sha256 == flist.sha256:
        return None
    if mounted := leftovers.find(flist.sha256):
        return mounted
    try:
        mount_flist(client, flist, sources, old)
        for servers in name_servers_of(flist):
            servers.copy()
    except BaseException:
        forget_flist(client, flist)
        raise
    log(f"{flist.role} flist mounted on {flist.root}")
    return flist
