"""Decides, from what the node could run, what is to be done now. No I/O, no clock.

nothing  the node runs what it should
wait     there is another release; its time, the farm's turn or the window, has not come
stay     there is another release, which was given up here; another one must be published
apply    take it
reboot   the set runs, but its kernel or initramfs is another one
report   the same, and nobody allowed a reboot, or it did not help
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

DAY_S = 86_400.0
REBOOT_AFTER_S = 0.75 * DAY_S
NEEDED = "its kernel needs a reboot"
UNKNOWN = "without a cache on a disk, nothing keeps whether one helps (update.reboot=always)"
DOUBTS = {
    "possible": "",
    "tried": "the last one did not bring it: the node starts from something else, like a stick",
    "unknown": UNKNOWN,
}  # what bring-up says of a reboot; one that is older says nothing


class What(StrEnum):
    """What is to be done."""

    NOTHING = "nothing"
    WAIT = "wait"
    STAY = "stay"
    APPLY = "apply"
    REBOOT = "reboot"
    REPORT = "report"


@dataclass(frozen=True)
class Window:
    """A time of each day, in seconds since midnight UTC; it may go past midnight."""

    begin_s: int
    end_s: int

    def wait_s(self, now: float) -> float:
        """Return how long it is until the window is open, 0 if it is."""
        at = now % DAY_S
        length = (self.end_s - self.begin_s) % DAY_S
        return 0.0 if (at - self.begin_s) % DAY_S < length else (self.begin_s - at) % DAY_S


@dataclass(frozen=True)
class Decision:
    """What is to be done, with which release; `until` is when a wait is over (Unix time)."""

    what: What
    release: str = ""
    until: float = 0.0
    why: str = ""


@dataclass(frozen=True)
class Rules:
    """When a node changes and may reboot: at any time and never without a window; only once for a
    kernel, unless `is_always`."""

    window: Window | None = None
    is_always: bool = False


def decide(look: Mapping[str, Any], rules: Rules, now: float, uptime_s: float) -> Decision:
    """Return what to do about the answer to `update.look`."""
    held, running = look["held"], look["running"]
    release = held["release"]
    if not release or not held["flists"]:
        return Decision(What.NOTHING, why="the channel holds no release with flists")
    if release == running["running"]:
        return decide_kernel(look, rules, now, uptime_s)
    if release == running["bad"]:
        return Decision(What.STAY, release, why=running["reason"])
    if running["state"] != "idle":
        return Decision(What.WAIT, release, now, f"the node is {running['state']}")
    if held["turn"] > now:
        return Decision(What.WAIT, release, held["turn"], "other farms are first")
    if rules.window and (wait_s := rules.window.wait_s(now)):
        return Decision(What.WAIT, release, now + wait_s, "the window is closed")
    return Decision(What.APPLY, release)


def decide_kernel(look: Mapping[str, Any], rules: Rules, now: float, uptime_s: float) -> Decision:
    """Return what to do about a release that runs already.

    A node reboots by itself in a window only, and once for a kernel: one that boots from a stick
    comes back with the same.
    """
    release = look["held"]["release"]
    if not look["kernel_changes"]:
        return Decision(What.NOTHING, release)
    if rules.window is None:
        return Decision(What.REPORT, release, why=NEEDED)
    if not rules.is_always and (doubt := DOUBTS.get(look.get("reboot", ""), UNKNOWN)):
        return Decision(What.REPORT, release, why=f"{NEEDED}; {doubt}")
    wait_s = max(rules.window.wait_s(now), REBOOT_AFTER_S - uptime_s)
    return Decision(What.WAIT if wait_s > 0 else What.REBOOT, release, now + wait_s, NEEDED)


def phase_of(seed: str, interval_s: float) -> float:
    """Return when in each interval a node looks, so that not all do at a time."""
    digest = hashlib.sha256(f"Zero-OS update\0{seed}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48 * interval_s


def next_look(seed: str, interval_s: float, now: float) -> float:
    """Return the next time at which this node looks, later than `now`."""
    phase = phase_of(seed, interval_s)
    return now + interval_s - (now - phase) % interval_s
