"""Loads the kernel modules for the machine's devices.

A device describes itself in its `modalias`, and `modprobe` finds the modules for a list of these. A
bus driver makes new devices appear, so loading goes in rounds until there are no new ones.
"""

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ALWAYS = ("evdev", "fuse", "overlay")  # evdev: the power button
BATCH = 200
DEADLINE_S = 30.0
SETTLE_S = 0.15
LOOK_S = 0.01
PROGRAM = "modprobe"


def read_aliases(top: str = "/sys/bus") -> set[str]:
    """Return the modaliases of all devices on all buses."""
    found = set()
    for bus in list_folder(top):
        folder = f"{top}/{bus}/devices"
        for device in list_folder(folder):
            try:
                with open(f"{folder}/{device}/modalias", "rb") as stream:
                    alias = stream.read(4096).decode(errors="replace").strip()
            except OSError:
                continue
            if alias:
                found.add(alias)
    return found


def list_folder(path: str) -> list[str]:
    """Return the names in a folder; none if it does not exist."""
    try:
        return os.listdir(path)
    except OSError:
        return []


def load_modules(
    report: "Callable[[str], None]",
    spawn: "Callable[[list[str]], int]",
    aliases: "Callable[[], set[str]]" = read_aliases,
) -> int:
    """Load modules until no new device appears or the deadline passes; return the rounds."""
    deadline = time.monotonic() + DEADLINE_S
    seen: set[str] = set()
    fresh = set(ALWAYS) | aliases()
    rounds = 0
    while fresh:
        rounds += 1
        seen |= fresh
        words = sorted(fresh)
        for at in range(0, len(words), BATCH):
            call = [PROGRAM, "-a", "-b", "-q", *words[at : at + BATCH]]
            if not run_until(call, spawn, deadline, report):
                return rounds
        fresh = wait_for_new(seen, aliases, deadline)
    return rounds


def run_until(
    call: list[str],
    spawn: "Callable[[list[str]], int]",
    deadline: float,
    report: "Callable[[str], None]",
) -> bool:
    """Run `call`; return False if it cannot be run or does not end before the deadline."""
    try:
        pid = spawn(call)
    except OSError as error:
        report(f"cannot run {call[0]}: {error.strerror}")
        return False
    while True:
        ended, _status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return True
        if time.monotonic() > deadline:
            report("loading modules takes too long, going on without the rest")
            return False
        time.sleep(LOOK_S)


def wait_for_new(seen: set[str], aliases: "Callable[[], set[str]]", deadline: float) -> set[str]:
    """Return aliases that are not in `seen`; wait a moment, since some devices appear late."""
    end = min(time.monotonic() + SETTLE_S, deadline)
    while True:
        fresh = aliases() - seen
        if fresh or time.monotonic() >= end:
            return fresh
        time.sleep(LOOK_S)
