"""The daemon `capacity`: answers what the machine has, what of it is used, and how busy it is."""

from collections.abc import Iterator
from typing import Any

from common.ipc.client import call
from common.ipc.errors import IpcError
from common.ipc.server import Method, Peer
from core.capacity.cache import parse_cache
from core.capacity.disks import choose_disks
from core.capacity.facts import Firmware, gather, read_firmware
from core.capacity.load import Load
from core.capacity.model import Resources
from core.capacity.sysfs import System
from core.capacity.watch import Watch, digest_of
from core.daemon import Work, run_daemon, start_thread
from core.places import API, CAPACITY, DOOR, REPORT, SCREEN
from core.sandbox.confine import drop_capabilities
from core.sandbox.profile import LOCAL, NETLINK, Profile

# The firmware's tables are for root only. The capability is given up once they are read.
PROFILE = Profile(
    "capacity",
    CAPACITY,
    families=LOCAL | NETLINK,
    capabilities=frozenset({"DAC_READ_SEARCH"}),
)
READERS = frozenset({API.number, REPORT.number, SCREEN.number})
ALIVE_S = 600.0  # a stream without news says so, or its reader could not tell it from a dead one
DOOR_S = 3.0


class Capacity:
    """Answers the calls."""

    def __init__(self, system: System, firmware: Firmware) -> None:
        self.system = system
        self.firmware = firmware
        self.load = Load()
        self.watch = Watch(self.gather)

    def gather(self) -> dict[str, Any]:
        """Return everything about the machine."""
        return gather(self.system, self.firmware, self._cache())

    def facts(self, _: Peer) -> dict[str, Any]:
        """Return everything about the machine, and the digest by which `changes` calls it."""
        facts = self.gather()
        return facts | {"digest": digest_of(facts)}

    def used(self, _: Peer) -> dict[str, int]:
        """Return what is taken of the capacity."""
        used: dict[str, int] = self.gather()["used"]
        return used

    def busy(self, _: Peer) -> dict[str, Any]:
        """Return how busy the machine is."""
        return self.load.to_json()

    def changes(self, _: Peer) -> Iterator[dict[str, str]]:
        """Yield the digest of the facts, at once, at each change, and now and then."""
        digest = self.watch.wait("", ALIVE_S)
        while True:
            yield {"digest": digest}
            digest = self.watch.wait(digest, ALIVE_S)

    def methods(self) -> dict[str, Method]:
        """Return the table of calls."""
        return {
            "facts": Method(self.facts, READERS),
            "used": Method(self.used, READERS),
            "load": Method(self.busy, READERS),
            "changes": Method(self.changes, frozenset({REPORT.number})),
        }

    def _cache(self) -> Resources:
        try:
            status = call(DOOR, "status", DOOR_S)
        except IpcError:
            return Resources()
        return parse_cache(status, choose_disks(self.system.block_devices()))


def begin() -> Work:
    """Read what only root can read, give up the right to, and watch the machine."""
    system = System()
    capacity = Capacity(system, read_firmware(system))
    drop_capabilities()
    start_thread(capacity.watch.run)
    return Work(capacity.methods())


def main() -> int:
    """Run the daemon."""
    run_daemon(PROFILE, begin)
