"""Sends one report after another: each follows what the registry accepted last."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from common.errors import ZosError
from common.ipc.errors import IpcError
from core.report.bodies import heartbeat_body, problem, register_body
from core.report.parameters import Parameters
from core.report.registry import CONFLICT, TIMEOUT_S, Position, Registry, RegistryError, Reply
from core.report.schedule import HEARTBEAT, REGISTER, SHUTDOWN, Schedule
from core.report.sources import Sources, Who, boot_id, kernel, uptime_s

CLOCK_OFF_S = 600.0  # upstream's bound
LAST_WORD_S = 3.0
IN_FLIGHT_S = 1.0
HOUR_S = 3600.0

Tell = Callable[[str], None]


@dataclass
class State:
    """What `status` shows; times are Unix times."""

    registered: bool = False
    last_sent: float | None = None
    last_kind: str = ""
    problems: list[dict[str, Any]] = field(default_factory=list)


class Reporter:
    """Reports for this boot. One report is made at a time; `lock` is held meanwhile."""

    def __init__(self, parameters: Parameters, registry: Registry, sources: Sources, tell: Tell):
        self.parameters = parameters
        self.registry = registry
        self.sources = sources
        self.tell = tell
        self.boot = boot_id()
        self.who: Who | None = None
        self.node = ""
        self.position: Position | None = None
        self.schedule = Schedule(self.boot)
        self.digest, self.news = "", ""  # of the facts that were registered, and that are
        self.used: Any = None
        self.state = State()
        self.lock = threading.Lock()
        self.changed = threading.Condition()

    def run(self) -> None:
        """Report for ever; for a thread of its own."""
        while True:
            with self.changed:
                while (left := self.schedule.due_at - uptime_s()) > 0:
                    self.changed.wait(left)
            self.turn()

    def turn(self) -> None:
        """Send the report that is due, and plan the next one."""
        try:
            with self.lock:
                self.find_self()
                kind, reply = self.send(self.schedule.kind(uptime_s()))
        except ZosError as error:
            self.fail(error)
            return
        finally:
            self.registry.close()
        self.succeed(kind, reply)

    def send(self, kind: str, timeout_s: float = TIMEOUT_S) -> tuple[str, Reply]:
        """Send one report, after a conflict once more; return what was sent, and the answer.

        A registry with which there is a conflict may know nothing of this boot, so it gets a
        registration in place of a heartbeat.
        """
        try:
            return kind, self.send_once(kind, timeout_s)
        except RegistryError as error:
            if error.status != CONFLICT:
                raise
            self.tell(f"{error.message}; asking what comes next")
            kind = REGISTER if kind == HEARTBEAT else kind
            return kind, self.send_once(kind, timeout_s)

    def send_once(self, kind: str, timeout_s: float) -> Reply:
        """Send one report behind the position that is known, or asked for."""
        who = self.find_self()
        position = self.position or self.registry.position(who.node, timeout_s)
        sequence = position.sequence + 1 if position.boot == self.boot else 1
        message = self.sources.sign(self.payload(kind, who, sequence, position.nonce), timeout_s)
        self.position = None  # unknown, until an answer says that it was accepted
        reply = self.registry.send(who.node, message, timeout_s)
        self.position = Position(reply.nonce, self.boot, sequence)
        return reply

    def find_self(self) -> Who:
        """Return who this node is; its id also is the seed of its pauses.

        After a failure it is asked again: a key that is not kept is another one after a restart.
        """
        if self.who is None:
            before, self.who = self.node, self.sources.who()
            self.node = self.who.node
            if self.node != before:
                self.position, self.schedule.registered_at = None, None
                self.schedule.chance.seed(self.node + self.boot)
        return self.who

    def payload(self, kind: str, who: Who, sequence: int, nonce: str) -> dict[str, Any]:
        """Return what is signed."""
        body = self.body(kind, who, nonce)  # a quote takes its time
        return {
            "node": who.node,
            "farm": self.parameters.farm,
            "boot": self.boot,
            "sequence": sequence,
            "nonce": nonce,
            "sent": time.time(),
            "uptime_s": uptime_s(),
            "kind": kind,
            "body": body,
        }

    def body(self, kind: str, who: Who, nonce: str) -> dict[str, Any]:
        """Return what a report of this kind says."""
        if kind == SHUTDOWN:
            return {}
        sources, status = self.sources, self.sources.status()
        if kind == HEARTBEAT:
            self.used, problems = self.ask_used()
            return heartbeat_body(self.used, status, [*self.state.problems, *problems], kernel())
        facts = sources.facts()
        self.digest, self.used = str(facts.get("digest", "")), facts.get("used")
        quote = sources.quote(nonce)
        return register_body(
            facts, status, {"kind": who.kind}, self.parameters.enrol, quote, kernel()
        )

    def ask_used(self) -> tuple[Any, list[dict[str, Any]]]:
        """Return what is used, and what is wrong. A heart beats without an answer, too."""
        try:
            return self.sources.used(), []
        except IpcError as error:
            return self.used, [problem("capacity", error.message, time.time())]

    def notice(self, digest: str) -> None:
        """Register again if the facts are others than those of the last registration."""
        with self.changed:
            self.news = digest
            self.compare()
            self.changed.notify()

    def compare(self) -> None:
        """Plan a registration if the facts have changed since the last one."""
        if self.state.registered and self.news and self.news != self.digest:
            self.schedule.change(uptime_s())

    def say_goodbye(self) -> None:
        """Report that the node ends, within `LAST_WORD_S`, if it has registered."""
        if not self.state.registered:
            return
        if not self.lock.acquire(timeout=IN_FLIGHT_S):
            self.position = None  # whether the report in flight arrives is not known
        try:
            self.send(SHUTDOWN, LAST_WORD_S - IN_FLIGHT_S)
            self.tell("the registry knows that the node ends")
        except ZosError as error:
            self.tell(f"{error.message}; the node ends all the same")
        finally:
            self.registry.close()

    def succeed(self, kind: str, reply: Reply) -> None:
        """Note a report that was accepted, and plan the next one."""
        state, now = self.state, time.time()
        with self.changed:
            state.registered = True
            self.schedule.succeed(kind, uptime_s(), reply.interval_s)
            if kind == REGISTER:
                self.compare()  # what came meanwhile
        if kind != state.last_kind or state.problems:
            self.tell(f"the registry {self.registry.url} has accepted: {kind}")
        state.last_sent, state.last_kind = now, kind
        problems = clock_problems(now, reply.time)
        if problems and problems[0]["code"] not in {item["code"] for item in state.problems}:
            self.tell(problems[0]["text"])
        state.problems = problems

    def fail(self, error: ZosError) -> None:
        """Note a report that failed, and plan the next try."""
        self.who = None
        wait_s = error.wait_s if isinstance(error, RegistryError) else 0.0
        with self.changed:
            pause_s = self.schedule.fail(uptime_s(), wait_s)
        hint = f" ({error.hint})" if error.hint else ""
        self.tell(f"{error.message}{hint}; next try in {pause_s:.0f} s")
        self.state.problems = [problem("registry", f"{error.message}{hint}", time.time())]

    def to_json(self) -> dict[str, Any]:
        """Return the answer to `status`."""
        state, position = self.state, self.position
        return {
            "registry": self.registry.url,
            "farm": self.parameters.farm,
            "node": self.node or None,
            "registered": state.registered,
            "last_sent": state.last_sent,
            "last_kind": state.last_kind,
            "next": time.time() + max(self.schedule.due_at - uptime_s(), 0.0),
            "interval_s": self.schedule.interval_s,
            "sequence": position.sequence if position else None,
            "problems": state.problems,
        }


def clock_problems(own: float, registry: float) -> list[dict[str, Any]]:
    """Return that the clock is wrong, if the registry's time says so."""
    off = own - registry
    if registry <= 0 or abs(off) < CLOCK_OFF_S:
        return []
    size = (
        f"{abs(off) / HOUR_S:.1f} hours" if abs(off) >= HOUR_S else f"{abs(off) / 60:.0f} minutes"
    )
    side = "ahead of" if off > 0 else "behind"
    return [problem("clock", f"the clock is {size} {side} the registry's", own)]
