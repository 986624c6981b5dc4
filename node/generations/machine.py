"""The life of an update as a table: `step(record, event, now) -> (record, actions)`. No I/O.

States:

    idle          one generation runs, and nothing is to be done
    fetching      the new set is fetched, verified and mounted beside the one that runs
    switching     services are moved to the new set, one after another
    watching      all of them have been moved; the node is watched for a time
    rolling-back  they are moved back to the set that ran before

What each event does:

    event        idle         fetching     switching    watching     rolling-back
    apply        begin        refuse       refuse       refuse       refuse
    undo         begin_undo   refuse       refuse       give_up      refuse
    fetched      -            switch       -            -            -
    switched     -            -            watch        -            -
    healthy      -            -            -            confirm      -
    failed       -            abandon      give_up      give_up      limp
    back         -            -            -            -            settle
    sequence     forget_bad   ignore       ignore       ignore       ignore

Until `confirm` the old set stays mounted and its services can go back to it, so whatever fails, the
old generation runs on. A set that failed once it was switched to is not tried again before the
channel's sequence changes; one that could not be fetched is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from node.model import NodeError


class State(StrEnum):
    """How far an update is."""

    IDLE = "idle"
    FETCHING = "fetching"
    SWITCHING = "switching"
    WATCHING = "watching"
    ROLLING_BACK = "rolling-back"


class Kind(StrEnum):
    """What happens."""

    APPLY = "apply"
    UNDO = "undo"
    FETCHED = "fetched"
    SWITCHED = "switched"
    HEALTHY = "healthy"
    FAILED = "failed"
    BACK = "back"
    SEQUENCE = "sequence"


class Action(StrEnum):
    """What is to be done, in this order."""

    FETCH = "fetch"
    SWITCH = "switch"
    WATCH = "watch"
    CONFIRM = "confirm"
    ROLL_BACK = "roll-back"
    ABANDON = "abandon"


@dataclass(frozen=True)
class Event:
    """What happens: to which release of which sequence of the channel, or why it failed."""

    kind: Kind
    release: str = ""
    sequence: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Record:
    """What a node knows of its generations; `reason` is why the last update failed, if it did.

    `running` is the release of the generation that runs, `before` that of the one before it, which
    an operator can go back to. `target` is what the node changes to. `bad` was given up while the
    channel's sequence was `bad_sequence`.
    """

    running: str
    state: State = State.IDLE
    generation: int = 1
    sequence: int = 0
    since: float = 0.0
    before: str = ""
    target: str = ""
    target_sequence: int = 0
    reason: str = ""
    bad: str = ""
    bad_sequence: int = 0
    is_undo: bool = False


Step = tuple[Record, tuple[Action, ...]]


class BusyError(NodeError):
    """What is asked for is not possible in this state."""


class ImpossibleEventError(Exception):
    """An event that cannot happen in this state: a fault of ours."""


def step(record: Record, event: Event, now: float) -> Step:
    """Return the record after an event, and what to do. Raises `BusyError` for what is refused."""
    handler = TABLE[event.kind].get(record.state)
    if handler is None:
        raise ImpossibleEventError(f"{event.kind} in state {record.state}")
    after, actions = handler(record, event)
    is_moved = after.state != record.state
    return replace(after, since=now) if is_moved else after, actions


def refuse(record: Record, event: Event) -> Step:
    """Say what the node is busy with."""
    raise BusyError(
        f"cannot {event.kind}: the node is {record.state} {record.target}",
        hint="`status` says when it has ended",
    )


def ignore(record: Record, _: Event) -> Step:
    """Do nothing."""
    return record, ()


def begin(record: Record, event: Event) -> Step:
    """Begin to change to another release."""
    if event.release == record.running:
        raise BusyError(f"cannot apply {event.release}: the node runs it already")
    after = replace(
        record,
        state=State.FETCHING,
        target=event.release,
        target_sequence=event.sequence,
        reason="",
        is_undo=False,
    )
    return after, (Action.FETCH,)


def begin_undo(record: Record, event: Event) -> Step:
    """Begin to change to the generation before; what runs now is not taken again by itself."""
    if not record.before:
        raise BusyError("cannot roll back: there was no generation before since the node started")
    target, sequence = record.before, record.sequence
    after, actions = begin(record, replace(event, release=target, sequence=sequence))
    return replace(after, is_undo=True), actions


def switch(record: Record, _: Event) -> Step:
    """Move the services."""
    return replace(record, state=State.SWITCHING), (Action.SWITCH,)


def watch(record: Record, _: Event) -> Step:
    """See whether all is well."""
    return replace(record, state=State.WATCHING), (Action.WATCH,)


def confirm(record: Record, _: Event) -> Step:
    """Keep the new generation."""
    bad = (record.running, record.sequence) if record.is_undo else ("", 0)
    after = Record(
        running=record.target,
        generation=record.generation + 1,
        sequence=record.target_sequence,
        before="" if record.is_undo else record.running,
        bad=bad[0],
        bad_sequence=bad[1],
    )
    return after, (Action.CONFIRM,)


def abandon(record: Record, event: Event) -> Step:
    """Forget what could not be fetched; nothing of it runs."""
    after = replace(record, state=State.IDLE, target="", reason=event.reason, is_undo=False)
    return after, (Action.ABANDON,)


def give_up(record: Record, event: Event) -> Step:
    """Go back to the old generation."""
    reason = event.reason or "an operator asked for it"
    after = replace(record, state=State.ROLLING_BACK, reason=reason)
    after = replace(after, bad=record.target, bad_sequence=record.target_sequence)
    return after, (Action.ROLL_BACK,)


def settle(record: Record, _: Event) -> Step:
    """Run the old generation as before."""
    return replace(record, state=State.IDLE, target="", is_undo=False), (Action.ABANDON,)


def limp(record: Record, event: Event) -> Step:
    """Run the old generation, in which not every service is up again yet; zinit goes on trying."""
    reason = f"{record.reason}; then {event.reason}"
    return settle(replace(record, reason=reason), event)


def forget_bad(record: Record, event: Event) -> Step:
    """Give a release another chance if the channel has changed since."""
    if not record.bad or event.sequence == record.bad_sequence:
        return record, ()
    return replace(record, bad="", bad_sequence=0, reason=""), ()


Handler = Callable[[Record, Event], Step]
BUSY = (State.FETCHING, State.SWITCHING, State.WATCHING, State.ROLLING_BACK)
TABLE: dict[Kind, dict[State, Handler]] = {
    Kind.APPLY: {State.IDLE: begin, **dict.fromkeys(BUSY, refuse)},
    Kind.UNDO: {State.IDLE: begin_undo, **dict.fromkeys(BUSY, refuse), State.WATCHING: give_up},
    Kind.FETCHED: {State.FETCHING: switch},
    Kind.SWITCHED: {State.SWITCHING: watch},
    Kind.HEALTHY: {State.WATCHING: confirm},
    Kind.FAILED: {
        State.FETCHING: abandon,
        State.SWITCHING: give_up,
        State.WATCHING: give_up,
        State.ROLLING_BACK: limp,
    },
    Kind.BACK: {State.ROLLING_BACK: settle},
    Kind.SEQUENCE: {State.IDLE: forget_bad, **dict.fromkeys(BUSY, ignore)},
}
