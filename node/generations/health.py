"""Whether a node is well after an update: its services, its way to the hub, Core-0's daemons."""

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import urllib3

from common.errors import ZosError
from common.ipc.client import call
from common.ipc.errors import IpcError, UnreachableError
from node.flists.model import CORE_PREFIX, FLISTS
from node.http import open_pool
from node.supervision import SETTLED, SUCCESS
from zinit.client.line import Client

SETTLE_WITHIN_S = 10.0  # for a service that was not moved
HUB_WITHIN_S = 30.0
HUB_EVERY_S = 10.0
ANSWER_S = 5.0


class Health:
    """Looks at the node; what was wrong before the update does not count.

    `pids` are the processes of the services that were moved, which must stay, 0 for a oneshot that
    has succeeded; `names` are all services of the set.
    """

    def __init__(
        self,
        client: Client,
        names: frozenset[str],
        pids: Mapping[str, int],
        is_hub_there: Callable[[], bool] | None,
        run: Path = FLISTS.parent,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.names = names
        self.pids = pids
        self.is_hub_there = is_hub_there
        self.run = run
        self.clock = clock
        self.down_since: dict[str, float] = {}
        self.hub_seen = self.hub_asked = clock()

    def find_fault(self) -> str:
        """Return what is wrong, "" if nothing is."""
        try:
            states = self.client.list()
            return self.crashed(states) or self.missing(states) or self.mute() or self.alone()
        except ZosError as error:
            return f"zinit does not answer: {error}"

    def crashed(self, states: Mapping[str, str]) -> str:
        """Return which of the services that were moved has ended since."""
        for name, pid in self.pids.items():
            state = states.get(name, "gone")
            if state not in SETTLED:
                return f"{name} is {state}"
            if state != SUCCESS and self.client.status(name)["pid"] != pid:
                return f"{name} crashed"
        return ""

    def missing(self, states: Mapping[str, str]) -> str:
        """Return which service has not been up for too long."""
        now = self.clock()
        for name in self.names:
            if states.get(name) in SETTLED:
                self.down_since.pop(name, None)
            elif now > self.down_since.setdefault(name, now) + SETTLE_WITHIN_S:
                return f"{name} is {states.get(name, 'gone')}"
        return ""

    def mute(self) -> str:
        """Return which daemon of Core-0 does not answer on its socket."""
        for name in sorted(self.names):
            path = self.run / name.removeprefix(CORE_PREFIX) / "socket"
            if not name.startswith(CORE_PREFIX) or not path.is_socket():
                continue
            with contextlib.suppress(IpcError):
                try:
                    call(path, "alive", ANSWER_S)  # there is no such method, and it says so
                except UnreachableError as error:
                    return f"{name} does not answer: {error}"
        return ""

    def alone(self) -> str:
        """Return that no hub has answered for too long."""
        now = self.clock()
        if self.is_hub_there is None or now < self.hub_asked + HUB_EVERY_S:
            return ""
        self.hub_asked = now
        if self.is_hub_there():
            self.hub_seen = self.clock()
            return ""
        lost = self.clock() - self.hub_seen
        return f"no hub answers for {lost:.0f} s" if lost > HUB_WITHIN_S else ""


def is_any_there(hubs: tuple[str, ...], proxy: str) -> bool:
    """Return whether one of the hubs answers at all."""
    with open_pool(proxy, ANSWER_S, ANSWER_S) as pool:
        for hub in hubs:
            with contextlib.suppress(urllib3.exceptions.HTTPError, OSError):
                pool.request("HEAD", hub, redirect=False)
                return True
    return False
