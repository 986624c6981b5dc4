"""Waits for zinit's services on a node, and stops them."""

import os
import select
import time
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path

from node.model import NodeError
from zinit.client.line import Client

SERVICES = Path("/etc/zinit")
STOP_DEADLINE_S = 60.0
POLL_S = 0.1
MEANWHILE_S = 2.0  # a network that takes over has name servers of its own
SUCCESS = "Success"
SETTLED = ("Running", SUCCESS)


def stop_service(client: Client, name: str) -> None:
    """Stop a service and remove it from zinit, within `STOP_DEADLINE_S`."""
    client.stop(name)
    deadline = time.monotonic() + STOP_DEADLINE_S
    while client.status(name)["pid"] != 0:
        if time.monotonic() > deadline:
            raise NodeError(f"cannot stop {name}: it still runs after {STOP_DEADLINE_S:g} s")
        time.sleep(POLL_S)
    client.forget(name)


def wait_for_services(client: Client, names: list[str], deadline_s: float) -> None:
    """Wait until each of `names` runs or has succeeded; raise `NodeError` naming the others."""
    deadline = time.monotonic() + deadline_s
    while late := find_late(client, names):
        if time.monotonic() > deadline:
            raise NodeError(f"not ready after {deadline_s:g} s: {describe_late(late)}")
        time.sleep(POLL_S)


def find_late(client: Client, names: Iterable[str], lasting: Container[str] = ()) -> dict[str, str]:
    """Return the states of those of `names` that neither run nor have succeeded.

    A `lasting` one must run: that it has succeeded is about the process before, as zinit pauses
    before it starts a service again.
    """
    states = {name: str(client.status(name)["state"]) for name in names}
    return {
        name: state
        for name, state in states.items()
        if state not in SETTLED or (state == SUCCESS and name in lasting)
    }


def describe_late(late: Mapping[str, str]) -> str:
    """Return what services are waited for, and their states."""
    return ", ".join(f"{name} is {state}" for name, state in late.items())


def wait_for_end(client: Client, name: str, meanwhile: Callable[[], bool]) -> bool:
    """Sleep until the process of service `name` ends; return whether it has.

    `meanwhile` is called every `MEANWHILE_S`; if it says False, nobody wants to wait any more.
    """
    pid = int(str(client.status(name)["pid"]))
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        while not select.select([process], [], [], MEANWHILE_S)[0]:
            if not meanwhile():
                return False
        return True
    finally:
        os.close(process)
