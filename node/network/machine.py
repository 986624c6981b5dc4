"""The states of a node's links, and which link is chosen: a table. No I/O and no clock.

`Machine.handle` takes an event of one link and the time, `Machine.tick` only the time; both return
what to do, as values. Every link with a carrier is tried and keeps its lease, so that another one
can take over at once. The first complete lease wins; an incomplete one, or what only a router has
advertised, wins after `PATIENCE_S`. The chosen link stays the chosen one until another is worth
more: because the cable is out, its router is silent, or its lease is gone or leads less far.
"""

from collections.abc import Callable
from dataclasses import replace

from node.network.choice import GRACE_S, assignments, patience_ends, pick, watched, worth
from node.network.leases import Lease, Source
from node.network.table import (
    IGNORED,
    TABLE,
    Action,
    Assign,
    Event,
    Hopeless,
    Input,
    Link,
    Probe,
    Seek,
    State,
    Tell,
    Unassign,
    Up,
)

REFUSED_S = 10.0  # before a link is tried again whose lease the kernel refuses
FADING_S = 10.0  # without a carrier before the leases of a link are given up
REPORT_S = 15.0
HOPELESS_S = 60.0  # after that the screen shows the code of a node without network, and again


class Machine:
    """All links, and the chosen one."""

    def __init__(self, now: float) -> None:
        self.links: dict[str, Link] = {}
        self.chosen = ""
        self.announced: Lease | None = None
        self.applied: dict[tuple[str, Source], Assign] = {}
        self.probed: tuple[Lease, ...] = ()
        self.lost = ""  # the link that was the chosen one before
        self._found = 0
        self._report_at, self._hopeless_at = now + REPORT_S, now + HOPELESS_S

    def handle(self, event: Event, name: str, given: Input) -> list[Action]:
        """Take an event of link `name` and return what to do."""
        return [*self._step(event, name, given), *self._decide(given.now)]

    def tick(self, now: float) -> list[Action]:
        """Return what is to be done because of the time."""
        actions: list[Action] = []
        for link in list(self.links.values()):
            if link.due is not None and link.due <= now:
                actions += self._step(Event.DUE, link.name, Input(now))
        return [*actions, *self._decide(now), *self._report(now)]

    def next_due(self, now: float) -> float:
        """Return when `tick` has something to do next."""
        times = [link.due for link in self.links.values() if link.due is not None]
        chosen = self.links.get(self.chosen)
        if chosen is None:
            times += [self._report_at, self._hopeless_at, patience_ends(self.links.values(), now)]
        elif chosen.state is State.FADING:
            times.append(chosen.lost_at + GRACE_S)
        return min((at for at in times if at > now), default=now + REPORT_S)

    def _step(self, event: Event, name: str, given: Input) -> list[Action]:
        link = self.links.get(name) or Link(name, self._found)
        entry = TABLE.get((link.state, event))
        if entry is None:
            if (link.state, event) in IGNORED:
                return []
            raise ValueError(f"{event.value} cannot happen while {name} is {link.state.value}")
        link.state, action = entry
        link.due = None if link.state is not State.FADING else link.due
        if event is Event.FOUND:
            self._found += 1
            self.links[name] = link
        actions = ACTIONS[action](self, link, given)
        if link.state is State.ABSENT:
            del self.links[name]
        return actions

    # What the table's actions do

    def settle(self, link: Link, _: Input) -> list[Action]:
        """Only decide anew."""
        link.fault = "" if link.leases else link.fault
        return []

    def start(self, link: Link, _: Input) -> list[Action]:
        """Ask for leases."""
        link.is_silent = False
        return [Seek(link.name, begins=True)]

    def stop(self, link: Link, _: Input) -> list[Action]:
        """Ask no more."""
        link.leases.clear()
        link.fault = link.fault or "it is gone"
        return [Seek(link.name, begins=False)]

    def begin(self, link: Link, given: Input) -> list[Action]:
        """Keep the first lease."""
        link.held_at, link.fault, link.is_silent = given.now, "", False
        return self.keep(link, given)

    def keep(self, link: Link, given: Input) -> list[Action]:
        """Keep a lease in place of its source's earlier one."""
        assert given.lease is not None
        link.leases[given.lease.source] = given.lease
        return []

    def withdraw(self, link: Link, given: Input) -> list[Action]:
        """Forget the lease of a source."""
        assert given.source is not None
        if link.leases.pop(given.source, None) is None or link.leases:
            return []
        link.fault = given.reason
        return self._step(Event.EMPTIED, link.name, given)

    def fade(self, link: Link, given: Input) -> list[Action]:
        """Keep the leases for a while: the cable may be back soon."""
        link.lost_at, link.due = given.now, given.now + FADING_S
        link.fault = "the cable is out"
        return [Tell(f"{link.name}: {link.fault}")]

    def pause(self, link: Link, given: Input) -> list[Action]:
        """Leave the link alone for a while, and let others try."""
        link.fault, link.due = given.reason, given.now + REFUSED_S
        link.leases.clear()
        return [Tell(f"{given.reason}; again in {REFUSED_S:g} s"), Seek(link.name, begins=False)]

    def doubt(self, link: Link, _: Input) -> list[Action]:
        """Note that the router is silent."""
        link.is_silent = True
        return [Tell(f"{link.name}: the router does not answer")]

    def trust(self, link: Link, _: Input) -> list[Action]:
        """Note that the router answers."""
        was_silent, link.is_silent = link.is_silent, False
        return [Tell(f"{link.name}: the router answers again")] if was_silent else []

    # What is decided after each event

    def _decide(self, now: float) -> list[Action]:
        before = self.chosen
        self._choose(now)
        said: list[Action] = []
        if before and self.chosen != before:
            self.lost = before
            self._report_at, self._hopeless_at = now + REPORT_S, now + HOPELESS_S
        if before and not self.chosen:
            self.announced = None
            said = [Tell(f"no network: {before} is lost")]
        return [*said, *self._apply(), *self._announce(), *self._watch()]

    def _choose(self, now: float) -> None:
        """Choose a link, if none is or if another one is worth more."""
        chosen = self.links.get(self.chosen)
        found = pick(self.links.values(), now)
        is_lost = chosen is None or not chosen.leases
        if found and (chosen is None or worth(found, now) > worth(chosen, now)):
            self.chosen = found.name
        elif is_lost:
            self.chosen = ""

    def _apply(self) -> list[Action]:
        """Return how to get from what is set to what shall be; the chosen link comes first."""
        found = assignments(self.links.values(), self.chosen)
        wanted = {(one.lease.link, one.lease.source): one for one in found}
        new = [one for key, one in wanted.items() if self.applied.get(key) != one]
        gone = [one for key, one in self.applied.items() if key not in wanted]
        self.applied = wanted
        return [*sorted(new, key=lambda one: one.metric), *(Unassign(one.lease) for one in gone)]

    def _announce(self) -> list[Action]:
        """Return the line about a network that is new, or has changed."""
        lease = self.network_lease()
        if lease is None or lease == self.announced:
            return []
        before, self.announced = self.lost, lease
        self.lost = ""
        is_other = before not in ("", lease.link)
        return [Up(lease, f"{before}: {self._why(before)}" if is_other else "")]

    def network_lease(self) -> Lease | None:
        """Return the chosen link's best lease, with the name servers of another if it has none."""
        link = self.links.get(self.chosen)
        best = link.best if link else None
        if link is None or best is None or best.name_servers:
            return best
        others = [lease for lease in link.leases.values() if lease.name_servers]
        if not others:
            return best
        return replace(best, name_servers=others[0].name_servers, search=others[0].search)

    def _why(self, name: str) -> str:
        """Return why a link is not the chosen one any more."""
        link = self.links.get(name)
        if link is None:
            return "it is gone"
        if link.is_silent and link.state is State.HELD:
            return "the router does not answer"
        return link.fault or "the other one leads further"

    def _watch(self) -> list[Action]:
        wanted = watched(self.links.values())
        if wanted == self.probed:
            return []
        self.probed = wanted
        for link in self.links.values() if not wanted else ():
            link.is_silent = False  # nothing asks any more
        return [Probe(wanted)]

    def _report(self, now: float) -> list[Action]:
        """Return the lines about a network that does not come."""
        actions: list[Action] = []
        if not self.chosen and now >= self._report_at:
            self._report_at = now + REPORT_S
            actions.append(Tell(f"still waiting for a lease ({self.describe()})", False))
        if not self.chosen and now >= self._hopeless_at:
            self._hopeless_at = now + HOPELESS_S
            actions.append(Hopeless(HOPELESS_S))
        return actions

    def describe(self) -> str:
        """Return the state of each link, for the log."""
        without = (State.UNPLUGGED, State.FADING)
        states = [
            f"{link.name}: {'no cable' if link.state in without else 'cable'}"
            for link in self.links.values()
        ]
        return ", ".join(states) or "no wired network card found"


Do = Callable[[Machine, Link, Input], list[Action]]
ACTIONS: dict[str, Do] = {
    "settle": Machine.settle,
    "start": Machine.start,
    "stop": Machine.stop,
    "begin": Machine.begin,
    "keep": Machine.keep,
    "withdraw": Machine.withdraw,
    "fade": Machine.fade,
    "pause": Machine.pause,
    "doubt": Machine.doubt,
    "trust": Machine.trust,
}
