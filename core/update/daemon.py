"""The daemon `update`: follows the channel, and says when the node takes a release.

It has no rights of its own: bring-up fetches, verifies, changes and goes back.
"""

import time
from pathlib import Path
from typing import Any, NoReturn

from common.ipc.client import call
from common.ipc.errors import IpcError
from common.ipc.server import Method, Peer
from core.daemon import Stop, Work, run_daemon, tell
from core.places import DOOR, LOOK_S, UPDATE, socket_of
from core.sandbox.profile import FEW_CONNECTIONS, Profile
from core.update.parameters import Parameters, parse_parameters
from core.update.policy import Decision, What, decide, next_look

NAME = "update"
PROFILE = Profile(NAME, UPDATE, connections_max=FEW_CONNECTIONS)
COMMAND_LINE = Path("/proc/cmdline")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Follower:
    """Looks at the channel again and again."""

    def __init__(self, parameters: Parameters, door: Path = DOOR) -> None:
        self.parameters = parameters
        self.door = door
        self.seed = ""
        self.last: float | None = None
        self.next: float | None = None
        self.decision = Decision(What.NOTHING)
        self.has_kexec = False
        self.problem = ""

    def loop(self, stop: Stop) -> None:
        """Look, decide and act, until the daemon is to end."""
        while not stop.is_asked:
            now = time.time()
            self.seed = self.seed or read_seed()
            self.next = next_look(self.seed, self.parameters.interval_s, now)
            self.look(now)
            if self.decision.what == What.WAIT and self.decision.until > now:
                self.next = min(self.next, self.decision.until)
            # The clock of a machine may be set meanwhile, so no wait is longer than an interval.
            stop.wait(min(max(self.next - time.time(), 1.0), self.parameters.interval_s))

    def look(self, now: float) -> None:
        """Ask what the node could run, and do what follows from that."""
        try:
            answer = call(self.door, "update.look", LOOK_S)
            self.last = now
            self.has_kexec = answer.get("kexec") == ""
            self.say(decide(answer, self.parameters.rules, now, uptime_s()))
            self.act()
        except IpcError as error:
            self.complain(str(error))
        else:
            self.problem = ""

    def act(self) -> None:
        """Tell bring-up. Raises `IpcError`."""
        if self.decision.what == What.APPLY:
            call(self.door, "update.apply", release=self.decision.release)
        elif self.decision.what == What.REBOOT:
            how = {"once": not self.parameters.rules.is_always, "kexec": self.has_kexec}
            # An older bring-up knows none of these words.
            words = {name: True for name, is_meant in how.items() if is_meant}
            call(self.door, "power.reboot", LOOK_S, **words)

    def say(self, decision: Decision) -> None:
        """Log a decision that is new."""
        before, self.decision = self.decision, decision
        if (decision.what, decision.release) != (before.what, before.release):
            why = f": {decision.why}" if decision.why else ""
            tell(NAME, f"{decision.release or 'no release'}: {decision.what}{why}")

    def complain(self, problem: str) -> None:
        """Log what is wrong, once."""
        if problem != self.problem:
            tell(NAME, problem)
        self.problem = problem

    def status(self, _: Peer) -> dict[str, Any]:
        """Return what the daemon thinks."""
        decision = self.decision
        return {
            "last": self.last,
            "next": self.next,
            "decision": decision.what,
            "release": decision.release,
            "until": decision.until or None,
            "why": decision.why,
            "problem": self.problem,
        }


def read_seed() -> str:
    """Return the node's id, so that it keeps its time; else the boot's, and "" is never one."""
    try:
        return str(call(socket_of("identity"), "describe")["node"])
    except IpcError:
        return BOOT_ID.read_text().strip()


def uptime_s() -> float:
    """Return for how long the machine has been up."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def begin() -> Work:
    """Prepare to follow the channel."""
    parameters = parse_parameters(
        COMMAND_LINE.read_text(errors="replace"), lambda text: tell(NAME, text)
    )
    follower = Follower(parameters)
    return Work({"status": Method(follower.status)}, follower.loop)


def main() -> NoReturn:
    """Run the daemon."""
    run_daemon(PROFILE, begin)
