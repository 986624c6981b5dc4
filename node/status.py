"""What a node says about itself: the answer to `status` at its door."""

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from node.admission import read_about
from node.flists.giving import Search
from node.flists.model import Flist
from node.model import BootParameters
from node.problems import Problems

if TYPE_CHECKING:
    from node.flists.part import Part

NETWORK = Path("/run/zero-os/network.json")  # of the network service
Generations = Callable[[], tuple[int, dict[str, object]]]
NODE = "node"  # the role of the services in the initramfs


class Status:
    """The state of the whole node; `parts` are its flists."""

    def __init__(self, parameters: BootParameters, problems: Problems, ignored: list[str]) -> None:
        self.parameters = parameters
        self.problems = problems
        self.ignored = ignored
        self.parts: list[Part] = []
        self.hubs: dict[str, float | None] = dict.fromkeys(parameters.hubs)
        self.disk: Search | None = None
        self.about = read_about()
        self.generations: Generations = first_generation
        self.reach("linux")

    def reach(self, stage: str) -> None:
        """Note how far the node has got: linux, network, channel, flist, ready."""
        self.stage, self.since = stage, time.time()

    def role_of(self, service: str) -> str:
        """Return the role of the flist that a service is from."""
        return next((part.wanted.role for part in self.parts if service in part.names), NODE)

    def rows(self) -> dict[str, object]:
        """Return everything."""
        generation, updates = self.generations()
        network = read_network()
        ignored = network.get("parameters_ignored")
        return {
            "release": updates.get("running") or self.about.get("VERSION_ID", ""),
            "boot_version": self.about.get("VERSION_ID", ""),
            "set": [describe_flist(flist) for part in self.parts if (flist := part.flist)],
            "stage": self.stage,
            "since": self.since,
            "hubs": [{"url": hub, "ms": in_ms(answer)} for hub, answer in self.hubs.items()],
            "network": network,
            "cache": describe_cache(self.disk),
            "problems": self.problems.rows(),
            "generation": generation,
            "update": updates,
            "farm": self.parameters.farm,
            "run_mode": self.parameters.runmode,
            "parameters_ignored": [*self.ignored, *(ignored if isinstance(ignored, list) else ())],
        }


def first_generation() -> tuple[int, dict[str, object]]:
    """Return the number of the generation and the state of updates before the node has any."""
    return 1, {"state": "idle"}


def describe_flist(flist: Flist) -> dict[str, object]:
    """Return what is mounted for a role."""
    fields = ("role", "name", "sha256", "version")
    return {name: getattr(flist, name) for name in fields}


def describe_cache(disk: Search | None) -> dict[str, object]:
    """Return the cache's folder and device, and the bytes of its disk and those in use.

    `fault` says why a disk that is there, or may be, has no folder: something may be kept on it.
    """
    fault = disk.fault() if disk else ""
    if disk is None or disk.cache is None:
        return {"place": None, "device": None, "size": 0, "used": 0, "fault": fault}
    cache = disk.cache
    place = None if fault else str(cache.top)
    room, device = cache.room, str(cache.device)
    return {
        "place": place,
        "device": device,
        "size": room.size,
        "used": room.used,
        "fault": fault,
    }


def in_ms(seconds: float | None) -> float | None:
    """Return an answer's time in milliseconds, None if there was none."""
    return None if seconds is None else round(seconds * 1000, 1)


def read_network(path: Path = NETWORK) -> dict[str, object]:
    """Return what the network service says."""
    with contextlib.suppress(OSError, ValueError):
        value = json.loads(path.read_bytes())
        if isinstance(value, dict):
            return value
    return {}
