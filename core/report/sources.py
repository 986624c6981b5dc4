"""What the other daemons of the node say, asked over their sockets."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from common.ipc.client import call
from common.ipc.errors import IpcError
from core.places import DOOR, socket_of

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
CALL_S = 20.0
QUOTE_S = 60.0  # a TPM is slow


class Who(NamedTuple):
    """The node's id, and where its key is kept."""

    node: str
    kind: str


class Sources:
    """Asks the daemons; raises `IpcError` for those without which there is no report."""

    def __init__(self) -> None:
        self.identity, self.capacity = socket_of("identity"), socket_of("capacity")

    def who(self) -> Who:
        """Return who this node is."""
        answer = call(self.identity, "describe", CALL_S)
        return Who(str(answer["node"]), str(answer["kind"]))

    def sign(self, payload: Mapping[str, Any], timeout_s: float = CALL_S) -> str:
        """Return the signed message."""
        return str(call(self.identity, "sign", timeout_s, kind="report", payload=payload))

    def quote(self, nonce: str) -> Any:
        """Return the TPM's quote, None if there is none: a node also reports without."""
        try:
            return call(self.identity, "quote", QUOTE_S, nonce=nonce)
        except IpcError:
            return None

    def facts(self) -> dict[str, Any]:
        """Return what the machine has."""
        return dict(call(self.capacity, "facts", CALL_S))

    def used(self) -> dict[str, Any]:
        """Return what is taken of it."""
        return dict(call(self.capacity, "used", CALL_S))

    def status(self) -> dict[str, Any]:
        """Return what bring-up says; nothing if it does not answer."""
        try:
            return dict(call(DOOR, "status", CALL_S))
        except IpcError:
            return {}


def boot_id() -> str:
    """Return the kernel's name for this boot."""
    return BOOT_ID.read_text().strip()


def uptime_s() -> float:
    """Return the seconds since the boot, with those of a suspended machine."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def kernel() -> str:
    """Return the kernel's release."""
    return os.uname().release
