"""Carries updates out: what `machine` decides, by `switch`, under the eyes of `health`.

One thread does all of it. The door's callers ask what could run, and say what shall.
"""

import contextlib
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial

from common.errors import ZosError
from common.ipc.server import Peer
from node.door.callers import OPERATORS
from node.flists.fetch import MissingError
from node.flists.model import FIRMWARE, Flist, Wanted
from node.flists.mounts import ROOTS
from node.flists.part import Part
from node.generations.health import Health
from node.generations.held import Held
from node.generations.leftovers import Leftovers
from node.generations.machine import Action, BusyError, Event, Kind, Record, State, step
from node.generations.reboots import Reboots
from node.generations.saved import Saved, by_digest, save
from node.generations.switch import Move, Services, Switch, plan_role
from node.log import log as write_log
from node.problems import Problems

PROBLEM = "update"
WATCH_S = 60.0
KEEP_S = 5.0
LOOK_S = 2.0
LOOK_WAIT_S = 30.0

log = partial(write_log, "bringup")


@dataclass
class Site:
    """What an update needs of the node.

    `parts` are its flists, which an update changes; `make_part` makes one, `mount_beside` fetches
    and mounts a flist. `look` asks what the channel or the hub has, `name_running` says what runs
    if no channel has named it. `is_hub_there` says whether a hub answers, at this moment. `reboots`
    knows what earlier ones were for.
    """

    parts: list[Part]
    make_part: Callable[[Wanted], Part]
    mount_beside: Callable[[Wanted, Flist | None, Leftovers], Flist | None]
    look: Callable[[], Held]
    is_hub_there: Callable[[], bool]
    name_running: Callable[[], str]
    services: Services
    problems: Problems
    reboots: Reboots
    watch_s: float = WATCH_S


class Updater:
    """The node's generations."""

    def __init__(self, site: Site, saved: Saved) -> None:
        self.site = site
        self.saved = saved
        self.lock = threading.RLock()
        self.looking = threading.Lock()
        self.actions: queue.Queue[Action] = queue.Queue()
        self.held = Held("")
        self.asked = self.target = Held("")
        self.new: dict[str, Flist] = {}
        self.names: dict[str, frozenset[str]] = {}
        self.switch: Switch | None = None
        self.locked = contextlib.ExitStack()
        self.had_hub = self.is_over = False
        self.leftovers = Leftovers(site.services)
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
        """Ask the channel or the hub what the node could run; one caller at a time does."""
        if not self.looking.acquire(timeout=LOOK_WAIT_S):
            raise BusyError("cannot look: the node is asking already", hint="try again")
        try:
            held = self.site.look()
        finally:
            self.looking.release()
        needs = self.site.reboots.rows(held)
        with self.lock:
            self.held = held
            if not self.record.running:
                running = replace(self.record, running=self.site.name_running())
                self.remember(replace(self.saved, record=running))
            self.feed(Event(Kind.SEQUENCE, held.release, held.sequence))
            return {"held": held.rows(), "running": self.rows()[1], **needs}

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
            if self.held.sequence < record.sequence:
                raise BusyError(
                    f"cannot apply {release}: it is of an older state of the channel",
                    hint="look again",
                )
            if peer.uid not in (0, *OPERATORS) and record.bad == release:
                raise BusyError(
                    f"cannot apply {release}: it was given up: {record.reason}",
                    hint="publish another release; an operator may try it again",
                )
            self.feed(Event(Kind.APPLY, release, self.held.sequence))
            self.asked = self.held
            return {}

    def rollback(self, _: Peer) -> dict[str, object]:
        """Go back to the generation before."""
        with self.lock:
            if self.record.state == State.IDLE:
                self.demand_settled()
            self.feed(Event(Kind.UNDO))
            return {}

    def demand_settled(self) -> None:
        """Raise `BusyError` unless all flists are mounted: only these can be compared.

        A service that does not run is not waited for: a release may come to mend it.
        """
        parts = self.site.parts
        late = [part.wanted.role for part in parts if not (part.flist or part.is_settled)]
        if late:
            raise BusyError(
                f"cannot update: {', '.join(late)} is not mounted yet", hint="see status"
            )

    # What the thread does

    def feed(self, event: Event) -> None:
        """Let the machine decide what follows."""
        with self.lock:
            before = self.record
            after, actions = step(before, event, time.time())
            if after == before and not actions:
                return
            is_next = after.generation != before.generation
            self.remember(self.next_saved(after) if is_next else replace(self.saved, record=after))
            self.tell(before, after)
        for action in actions:
            self.actions.put(action)

    def next_saved(self, record: Record) -> Saved:
        """Return what is to be remembered of a new generation, and of the one before it."""
        running = self.flists()
        now = {
            role: flist for role, flist in (running | self.new).items() if not self.is_gone(role)
        }
        return Saved(record, by_digest(now), by_digest(running) if record.before else ())

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
            self.site.problems.note(PROBLEM, f"rolled back from {record.bad}: {record.reason}")
        elif record.reason:
            self.site.problems.note(PROBLEM, f"the last update failed: {record.reason}")
        else:
            self.site.problems.clear(PROBLEM)

    def run(self) -> None:
        """Carry out actions as they come; look after what is left of earlier sets meanwhile."""
        while not self.is_over:
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
            if action is not None:
                self.actions.task_done()

    def fail(self, action: Action | None, reason: str) -> None:
        """Say that an action has failed; the last ones of an update may."""
        if action in (None, Action.ABANDON, Action.CONFIRM):
            log(f"update: {reason}")
        else:
            self.feed(Event(Kind.FAILED, reason=reason))

    def flists(self) -> dict[str, Flist]:
        """Return what is mounted for each role of the generation that runs."""
        return {part.wanted.role: part.flist for part in self.site.parts if part.flist}

    def fetch(self) -> None:
        """Fetch, verify and mount what the new set has and the old one has not."""
        with self.lock:  # so that `apply` has noted what it asks for
            before = Held(self.record.before, flists=self.saved.before)
            self.target = before if self.record.is_undo else self.asked
        running = self.flists()
        self.new = {}
        for wanted in self.target.flists:
            old = running.get(wanted.role)
            if old and old.sha256 == wanted.sha256:
                continue
            try:
                flist = self.site.mount_beside(wanted, old, self.leftovers)
            except MissingError:
                if old or not wanted.is_optional:
                    raise
            else:
                if flist:
                    self.new[wanted.role] = flist
        # Until the end of the update no part brings itself up again.
        for part in self.site.parts:
            self.locked.enter_context(part.lock)
        self.demand_settled()
        self.feed(Event(Kind.FETCHED))

    def move(self) -> None:
        """Move the services; from a set that has no hub none is expected afterwards, either."""
        services = self.site.services
        self.had_hub = self.site.is_hub_there()
        down = services.unsettled()
        moves = self.plan()
        self.switch = Switch(services, moves, down)
        self.switch.carry_out()
        self.feed(Event(Kind.SWITCHED))

    def plan(self) -> list[Move]:
        """Return what changes, Core-0 first; note the services of each role."""
        running = self.flists()
        moves: list[Move] = []
        self.names = {}
        for role in ROOTS:
            new, old = self.new.get(role), running.get(role)
            if new is None and not (old and self.is_gone(role)):
                self.names[role] = self.names_of(role)
                continue
            mounted = self.leftovers.of(role, old)
            more, self.names[role] = plan_role(self.site.services, mounted, new, role)
            moves += more
        return moves

    def is_gone(self, role: str) -> bool:
        """Return whether the new set lacks a role."""
        return all(one.role != role for one in self.target.flists)

    def names_of(self, role: str) -> frozenset[str]:
        """Return the services of a role of the generation that runs."""
        parts = (part for part in self.site.parts if part.wanted.role == role)
        return frozenset(name for part in parts for name in part.names)

    def watch(self) -> None:
        """See for a time whether all is well."""
        assert self.switch is not None
        site, services = self.site, self.site.services
        log(f"update: {self.record.target} runs; it is watched for {site.watch_s:g} s")
        names = frozenset(name for found in self.names.values() for name in found)
        names -= self.switch.down
        moved = [move.name for move in self.switch.moves if move.files and move.name in names]
        pids = {name: services.pid(name) for name in moved}
        is_there = site.is_hub_there if self.had_hub else None
        health = Health(services.client, names, pids, is_there)
        deadline = time.monotonic() + site.watch_s
        while time.monotonic() < deadline:
            time.sleep(LOOK_S)
            if self.record.state != State.WATCHING:
                return
            if fault := health.find_fault():
                self.end_watch(Event(Kind.FAILED, reason=fault))
                return
        self.end_watch(Event(Kind.HEALTHY))

    def end_watch(self, event: Event) -> None:
        """Tell how it went, unless an operator has given the set up meanwhile."""
        with self.lock:
            if self.record.state == State.WATCHING:
                self.feed(event)

    def confirm(self) -> None:
        """Keep the new set: the parts go on with it, and what nothing runs from is unmounted."""
        before = self.flists()
        try:
            self.hand_over()
        finally:
            self.locked.close()
        self.clear_away(before.values())

    def hand_over(self) -> None:
        """Let the parts go on with the new set."""
        for part in [part for part in self.site.parts if self.is_gone(part.wanted.role)]:
            part.retire()
            self.site.parts.remove(part)
        known = {part.wanted.role: part for part in self.site.parts}
        for role, flist in self.new.items():
            part = known.get(role) or self.add_part(flist)
            is_watched = part.flist is not None
            part.adopt(flist, sorted(self.names[role]))
            part.is_settled = True
            if not is_watched:
                part.start()

    def add_part(self, flist: Flist) -> Part:
        """Return the part of a role that the node did not have."""
        part = self.site.make_part(Wanted(flist.role, flist.name))
        self.site.parts.append(part)
        return part

    def go_back(self) -> None:
        """Move the services back."""
        try:
            if self.switch is not None:
                self.switch.undo()
        finally:
            self.locked.close()
        self.feed(Event(Kind.BACK))

    def abandon(self) -> None:
        """Unmount what was fetched for nothing."""
        self.locked.close()
        try:
            if FIRMWARE in self.new and (old := self.flists().get(FIRMWARE)):
                ROOTS[FIRMWARE](old)
        finally:
            self.clear_away(self.new.values())

    def clear_away(self, flists: Iterable[Flist]) -> None:
        """Unmount what is not used any more."""
        self.leftovers.add(flists)
        self.new, self.switch = {}, None
        self.leftovers.look(self.flists())


ACTIONS: dict[Action, Callable[[Updater], None]] = {
    Action.FETCH: Updater.fetch,
    Action.SWITCH: Updater.move,
    Action.WATCH: Updater.watch,
    Action.CONFIRM: Updater.confirm,
    Action.ROLL_BACK: Updater.go_back,
    Action.ABANDON: Updater.abandon,
}
