"""The node as the API's functions see it: the sockets of bring-up and of the daemons."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.ipc.client import call, stream
from core.api.audit import Audit
from core.places import DOOR, LOOK_S, socket_of

DOOR_S = 30.0
SLOW = ("update.look", "power.reboot")  # bring-up asks servers; it may fetch a kernel
COMMAND_LINE = Path("/proc/cmdline")


@dataclass(frozen=True)
class Node:
    """Where the node is asked; `about` says how the API itself is."""

    audit: Audit
    about: Callable[[], dict[str, Any]]
    door_path: Path = DOOR
    capacity_path: Path = field(default_factory=lambda: socket_of("capacity"))
    identity_path: Path = field(default_factory=lambda: socket_of("identity"))
    command_line: Path = COMMAND_LINE

    def door(self, method: str, **params: Any) -> Any:
        """Ask bring-up. Raises `IpcError`."""
        limit_s = LOOK_S if method in SLOW else DOOR_S
        return call(self.door_path, method, limit_s, **params)

    def door_stream(self, method: str, **params: Any) -> Generator[Any]:
        """Ask bring-up for a stream. Raises `IpcError`."""
        yield from stream(self.door_path, method, DOOR_S, **params)

    def capacity(self, method: str) -> Any:
        """Ask the capacity daemon. Raises `IpcError`."""
        return call(self.capacity_path, method, DOOR_S)

    def identity(self, method: str, **params: Any) -> Any:
        """Ask the identity daemon. Raises `IpcError`."""
        return call(self.identity_path, method, DOOR_S, **params)
