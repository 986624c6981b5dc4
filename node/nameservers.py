"""Hands the node's name servers to the services, and again when a new lease has changed them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from common.files import write_atomic
from node.flists.model import CORE, WORKLOAD, Flist
from node.flists.mounts import RESOLV_CONF, copy_resolv_conf
from node.log import log as write_log

SHARED = Path("/run/zero-os/resolv.conf")  # for Core-0, whose root is read-only

log = partial(write_log, "bringup")


class NameServers:
    """The name servers of one root file system."""

    def __init__(
        self,
        root: Path,
        source: Path = RESOLV_CONF,
        deliver: Callable[[Path, Path], None] = copy_resolv_conf,
    ) -> None:
        self.root = root
        self.source = source
        self.deliver = deliver
        self.seen = self._look()

    def follow(self) -> None:
        """Copy /etc/resolv.conf if it has changed."""
        now = self._look()
        if now == self.seen:
            return
        self.seen = now
        self.copy()

    def copy(self) -> None:
        """Copy /etc/resolv.conf; services must run without it, too."""
        try:
            self.deliver(self.root, self.source)
        except OSError as error:
            log(f"cannot give the services the name servers: {error}")

    def _look(self) -> bytes:
        try:
            return self.source.read_bytes()
        except OSError:
            return b""


def share_resolv_conf(_root: Path, source: Path) -> None:
    """Put the name servers where Core-0's `etc/resolv.conf` points to; raises `OSError`."""
    write_atomic(SHARED, source.read_bytes())


def name_servers_of(flist: Flist) -> list[NameServers]:
    """Return the name servers of a flist's root; firmware has none."""
    if flist.role == WORKLOAD:
        return [NameServers(flist.root)]
    return [NameServers(flist.root, deliver=share_resolv_conf)] if flist.role == CORE else []
