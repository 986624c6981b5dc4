"""Carries updates out: what `machine` decides, by `switch`, under the eyes of `health`.

One thread does all of it. The door's callers ask what could run, and say what shall.
"""

import queue
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial

from common.errors import ZosError
from common.ipc.server import Peer
from common.releases.layout import boot_version
from node.door.callers import OPERATORS
from node.flists.fetch import MissingError
from node.flists.model import FIRMWARE, Flist, Wanted
from node.flists.mounts import ROOTS
from node.flists.part import Part
from node.generations.health import Health
from node.generations.held import Held
from node.generations.leftovers import Leftovers
from node.generations.machine import Action, BusyError, Event, Kind, Record, State, step
from node.generations.saved import Saved, load, save
from node.generations.switch import Move, Services, Switch, plan_role
from node.log import log as write_log
from node.problems import Problems

PROBLEM = "update"
WATCH_S = 60.0
KEEP_S = 5.0
LOOK_S = 2.0

log = partial(write_log, "bringup")


@dataclass
class Node:
    """What an update needs of the node.

    `parts` are its flists, which an update replaces; `make_part` makes one. `look` asks what the
    channel or the hub has, `name_running` what is running if no channel has named it. `is_hub_there`
    says whether a hub answers, at this moment.
    """

    parts: list[Part]
    make_part: Callable[[Wanted], Part]
    look: Callable[[], Held]
    is_hub_there: Callable[[], bool]
    name_running: Callable[[], str]
    services: Services
    problems: Problems
    boot_version: str
    watch_s: float = WATCH_S


class Updater:
    """The node's generations."""

    def __init__(self, node: Node, saved: Saved) -> None:
        self.node = node
        self.saved = saved
        self.lock = threading.RLock()
        self.actions: queue.Queue[Action] = queue.Queue()
        self.held = Held("")
        self.target = Held("")
        self.new: dict[str, Part] = {}
        self.switch: Switch | None = None
        self.names: frozenset[str] = frozenset()
        self.leftovers = Leftovers(node.services)
        self.tell_problem(saved.record)

    @property
    def record(self) -> Record:
        """What is known of the generations."""
        return self.saved.record

    def start(self) -> None:
        """Begin to carry out what is asked for, in a thread."""
        threading.Thread(target=self.run, name="update", daemon=True).start()

    # What the door is asked for

    def rows(self) -> tuple[int, dict[str, object]]:
        """Return the number of the generation and the state of updates, for the status."""
        record = asdict(self.record)
        del record["is_undo"]
        return record.pop("generation"), record

    def look(self, _: Peer) -> dict[str, object]:
        """Ask the channel or the hub what the node could run."""
        held = self.node.look()
        with self.lock:
            self.held = held
            if not self.record.running:
                running = replace(self.record, running=self.node.name_running())
                self.remember(replace(self.saved, record=running))
            self.feed(Event(Kind.SEQUENCE, held.release, held.sequence))
            boot = boot_version(held.release) if held.sequence else self.node.boot_version
            is_other = bool(held.release) and boot != self.node.boot_version
            return {"held": held.rows(), "running": self.rows()[1], "kernel_changes": is_other}

    def apply(self, peer: Peer, release: str) -> dict[str, object]:
        """Change to the release that the channel holds: its name is in the answer to `look`."""
        with self.lock:
            if not self.held.flists or release != self.held.release:
                raise BusyError(
                    f"cannot apply {str(release)[:80]!r}: the channel holds "
                    f"{self.held.release or 'nothing'}",
                    hint="look again",
                )
            self.demand_settled()
            record = self.record
            if peer.uid not in (0, *OPERATORS) and record.bad == release:
                raise BusyError(
                    f"cannot apply {release}: it was given up: {record.reason}",
                    hint="publish another release; an operator may try it again",
                )
            self.target = self.held
            self.feed(Event(Kind.APPLY, release, self.held.sequence))
            return {}

    def rollback(self, _: Peer) -> dict[str, object]:
        """Go back to the generation before."""
        with self.lock:
            if self.record.state == State.IDLE:
                self.demand_settled()
                self.target = Held(self.record.before, flists=self.saved.before)
            self.feed(Event(Kind.UNDO))
            return {}

    def demand_settled(self) -> None:
        """Raise `BusyError` unless all of the node has come up: only that can be compared."""
        late = [part.wanted.role for part in self.node.parts if not part.is_settled]
        if late:
            raise BusyError(f"cannot update: {', '.join(late)} is not up yet", hint="see status")

    # What the thread does

    def feed(self, event: Event) -> None:
        """Let the machine decide what follows."""
        with self.lock:
            before = self.record
            after, actions = step(before, event, time.time())
            if after == before and not actions:
                return
            self.remember(replace(self.saved, record=after))
            self.tell(before, after)
        for action in actions:
            self.actions.put(action)

    def remember(self, saved: Saved) -> None:
        """Keep the state; one that can't be written must not stop the way back."""
        self.saved = saved
        try:
            save(saved)
        except OSError as error:
            log(f"update: cannot remember the state: {error}")

    def tell(self, before: Record, after: Record) -> None:
        """Log what changed, and note what is wrong."""
        if after.state == State.FETCHING:
            log(f"update: fetching {after.target} beside {after.running or 'what runs'}")
        elif after.state == State.ROLLING_BACK:
            log(f"update: giving {after.target} up: {after.reason}")
        elif before.state == State.ROLLING_BACK:
            log(f"update: rolled back to {after.running or 'what ran before'}: {after.reason}")
        elif before.state == State.FETCHING and after.state == State.IDLE:
            log(f"update: cannot take {before.target}: {after.reason}")
        elif before.state == State.WATCHING:
            log(f"update: generation {after.generation} runs {after.running}")
        if after.state == State.IDLE:
            self.tell_problem(after)

    def tell_problem(self, record: Record) -> None:
        """Note for the status that an update has failed."""
        if record.bad and record.reason:
            self.node.problems.note(PROBLEM, f"rolled back from {record.bad}: {record.reason}")
        elif record.reason:
            self.node.problems.note(PROBLEM, f"the last update failed: {record.reason}")
        else:
            self.node.problems.clear(PROBLEM)

    def run(self) -> None:
        """Carry out actions as they come; look after what is left of earlier sets meanwhile."""
        while True:
            try:
                action = self.actions.get(timeout=KEEP_S)
            except queue.Empty:
                action = None
            try:
                if action is not None:
                    ACTIONS[action](self)
                elif self.record.state == State.IDLE:
                    self.leftovers.look(self.flists())
            except Exception as error:  # whatever fails, the old generation must run
                if not isinstance(error, ZosError | OSError):
                    traceback.print_exc()
                self.fail(action, str(error) or type(error).__name__)

    def fail(self, action: Action | None, reason: str) -> None:
        """Say that an action has failed; the last ones of an update may."""
        if action in (None, Action.ABANDON, Action.CONFIRM):
            log(f"update: {reason}")
        else:
            self.feed(Event(Kind.FAILED, reason=reason))

    def flists(self) -> dict[str, Flist]:
        """Return what is mounted for each role of the generation that runs."""
        return {part.wanted.role: part.flist for part in self.node.parts if part.flist}

    def fetch(self) -> None:
        """Fetch, verify and mount what the new set has and the old one has not."""
        running = self.flists()
        self.new = {}
        for wanted in self.target.flists:
            old = running.get(wanted.role)
            if old and old.sha256 == wanted.sha256:
                continue
            part = self.node.make_part(wanted)
            self.new[wanted.role] = part
            try:
                if not part.prepare_beside(old, self.leftovers.find):
                    del self.new[wanted.role]
            except MissingError:
                if old or not wanted.is_optional:
                    raise
                del self.new[wanted.role]
        self.feed(Event(Kind.FETCHED))

    def move(self) -> None:
        """Move the services."""
        for part in self.node.parts:
            part.rest()
        services = self.node.services
        down = services.unsettled()
        moves, names = self.plan()
        self.names = names - down
        self.switch = Switch(services, moves, down)
        self.switch.carry_out()
        self.feed(Event(Kind.SWITCHED))

    def plan(self) -> tuple[list[Move], frozenset[str]]:
        """Return what changes, Core-0 first, and all services of the new set."""
        running = self.flists()
        wanted = {one.role for one in self.target.flists}
        moves, names = list[Move](), frozenset[str]()
        for role in ROOTS:
            part = self.new.get(role)
            is_gone = role in running and role not in wanted
            if part is None and not is_gone:
                names |= self.names_of(role)
                continue
            mounted = self.leftovers.of(role, running.get(role))
            more, found = plan_role(self.node.services, mounted, part.flist if part else None, role)
            moves, names = moves + more, names | found
            if part:
                part.names = sorted(found)
        return moves, names

    def names_of(self, role: str) -> frozenset[str]:
        """Return the services of a role of the generation that runs."""
        parts = (part for part in self.node.parts if part.wanted.role == role)
        return frozenset(name for part in parts for name in part.names)

    def watch(self) -> None:
        """See for a time whether all is well."""
        assert self.switch is not None
        node, services = self.node, self.node.services
        log(f"update: {self.record.target} runs; it is watched for {node.watch_s:g} s")
        moved = [move.name for move in self.switch.moves if move.files]
        pids = {name: services.pid(name) for name in moved if name in self.names}
        is_there = node.is_hub_there if node.is_hub_there() else None
        health = Health(
            services.client, self.names, {n: pid for n, pid in pids.items() if pid}, is_there
        )
        deadline = time.monotonic() + node.watch_s
        while time.monotonic() < deadline:
            time.sleep(LOOK_S)
            if self.record.state != State.WATCHING:
                return
            if fault := health.find_fault():
                return self.end_watch(Event(Kind.FAILED, reason=fault))
        self.end_watch(Event(Kind.HEALTHY))

    def end_watch(self, event: Event) -> None:
        """Tell how it went, unless an operator has given the set up meanwhile."""
        with self.lock:
            if self.record.state == State.WATCHING:
                self.feed(event)

    def confirm(self) -> None:
        """Keep the new set: its parts take over, and what nothing runs from is unmounted."""
        before = self.flists()
        wanted = {one.role for one in self.target.flists}
        kept = []
        for part in self.node.parts:
            if part.wanted.role in self.new or part.wanted.role not in wanted:
                part.retire()
            else:
                kept.append(part)
                part.go_on()
        for part in self.new.values():
            part.is_settled = True
            part.start()
        self.node.parts[:] = [*kept, *self.new.values()]
        self.remember(
            Saved(self.record, by_digest(self.flists()), by_digest(before))
            if self.record.before
            else Saved(self.record, by_digest(self.flists()))
        )
        self.leftovers.add(before.values())
        self.leftovers.look(self.flists())

    def go_back(self) -> None:
        """Move the services back."""
        try:
            if self.switch is not None:
                self.switch.undo()
            if FIRMWARE in self.new and (old := self.flists().get(FIRMWARE)):
                ROOTS[FIRMWARE](old)
        finally:
            for part in self.node.parts:
                part.go_on()
        self.feed(Event(Kind.BACK))

    def abandon(self) -> None:
        """Unmount what was fetched for nothing."""
        self.switch = None
        new = [part.flist for part in self.new.values() if part.flist]
        self.new = {}
        self.leftovers.add(new)
        self.leftovers.look(self.flists())


def by_digest(flists: Mapping[str, Flist]) -> tuple[Wanted, ...]:
    """Return how the same flists are asked for again."""
    return tuple(
        Wanted(flist.role, flist.name, flist.sha256, flist.meta.stat().st_size, flist.version)
        for flist in flists.values()
    )


ACTIONS: dict[Action, Callable[[Updater], None]] = {
    Action.FETCH: Updater.fetch,
    Action.SWITCH: Updater.move,
    Action.WATCH: Updater.watch,
    Action.CONFIRM: Updater.confirm,
    Action.ROLL_BACK: Updater.go_back,
    Action.ABANDON: Updater.abandon,
}
