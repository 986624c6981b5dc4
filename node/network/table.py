"""What can happen to a node's links, what follows, and what is done: the vocabulary and the table
of `node.network.machine`. No I/O and no clock.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from node.network.leases import Lease, Source, best_lease


class State(Enum):
    """How far a link is."""

    ABSENT = "absent"
    UNPLUGGED = "unplugged"
    TRYING = "trying"
    HELD = "held"
    FADING = "fading"  # it has leases still, but no carrier
    PAUSED = "paused"


class Event(Enum):
    """What happens to a link."""

    FOUND = "found"
    GONE = "gone"
    PLUGGED = "plugged"
    UNPLUGGED = "unplugged"
    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
    EMPTIED = "emptied"  # the last lease was withdrawn
    REFUSED = "refused"
    SILENT = "silent"
    ANSWERED = "answered"
    DUE = "due"


# (state, event): the next state and what is done. What is in `IGNORED` changes nothing; any other
# pair is an error.
TABLE: dict[tuple[State, Event], tuple[State, str]] = {
    (State.ABSENT, Event.FOUND): (State.UNPLUGGED, "settle"),
    (State.UNPLUGGED, Event.PLUGGED): (State.TRYING, "start"),
    (State.UNPLUGGED, Event.GONE): (State.ABSENT, "stop"),
    (State.TRYING, Event.UNPLUGGED): (State.UNPLUGGED, "stop"),
    (State.TRYING, Event.GRANTED): (State.HELD, "begin"),
    (State.TRYING, Event.GONE): (State.ABSENT, "stop"),
    (State.HELD, Event.UNPLUGGED): (State.FADING, "fade"),
    (State.HELD, Event.GRANTED): (State.HELD, "keep"),
    (State.HELD, Event.WITHDRAWN): (State.HELD, "withdraw"),
    (State.HELD, Event.EMPTIED): (State.TRYING, "settle"),
    (State.HELD, Event.REFUSED): (State.PAUSED, "pause"),
    (State.HELD, Event.SILENT): (State.HELD, "doubt"),
    (State.HELD, Event.ANSWERED): (State.HELD, "trust"),
    (State.HELD, Event.GONE): (State.ABSENT, "stop"),
    (State.FADING, Event.PLUGGED): (State.HELD, "settle"),
    (State.FADING, Event.GRANTED): (State.FADING, "keep"),
    (State.FADING, Event.WITHDRAWN): (State.FADING, "withdraw"),
    (State.FADING, Event.EMPTIED): (State.UNPLUGGED, "stop"),
    (State.FADING, Event.REFUSED): (State.PAUSED, "pause"),
    (State.FADING, Event.GONE): (State.ABSENT, "stop"),
    (State.FADING, Event.DUE): (State.UNPLUGGED, "stop"),
    (State.PAUSED, Event.UNPLUGGED): (State.UNPLUGGED, "settle"),
    (State.PAUSED, Event.GONE): (State.ABSENT, "stop"),
    (State.PAUSED, Event.DUE): (State.TRYING, "start"),
}
# What is so already, and what comes late from a client that was stopped.
_LATE = (Event.GRANTED, Event.WITHDRAWN, Event.REFUSED, Event.SILENT, Event.ANSWERED)
IGNORED: frozenset[tuple[State, Event]] = frozenset(
    [
        *((State.ABSENT, event) for event in (*_LATE, Event.PLUGGED, Event.UNPLUGGED, Event.GONE)),
        *((state, Event.FOUND) for state in State if state is not State.ABSENT),
        *((State.UNPLUGGED, event) for event in (*_LATE, Event.UNPLUGGED)),
        *((State.TRYING, event) for event in (*_LATE[1:], Event.PLUGGED)),
        (State.HELD, Event.PLUGGED),
        *((State.FADING, event) for event in (Event.UNPLUGGED, Event.SILENT, Event.ANSWERED)),
        *((State.PAUSED, event) for event in (*_LATE, Event.PLUGGED)),
    ]
)


# What is done: named tuples, since a node makes these classes at every boot.


class Seek(NamedTuple):
    """Ask for leases on a link; or no more: then give back what it holds, and forget routers."""

    link: str
    begins: bool


class Assign(NamedTuple):
    """Set a lease's address and routes with this metric, in place of its source's earlier one."""

    lease: Lease
    metric: int


class Unassign(NamedTuple):
    """Remove what the lease has set."""

    lease: Lease


class Up(NamedTuple):
    """This lease is the node's network now; `instead` tells of which link, and why."""

    lease: Lease
    instead: str = ""


class Probe(NamedTuple):
    """Watch the routers of these leases, and no others."""

    leases: tuple[Lease, ...]


class Tell(NamedTuple):
    """Write a line to the log; `is_decision` if status shows it, too."""

    text: str
    is_decision: bool = True


class Hopeless(NamedTuple):
    """Tell the user that the node has had no network for long."""

    after_s: float


Action = Seek | Assign | Unassign | Up | Probe | Tell | Hopeless


@dataclass
class Link:
    """One link; `lost_at` is when the carrier went, `due` when `Event.DUE` comes."""

    name: str
    number: int
    state: State = State.ABSENT
    leases: dict[Source, Lease] = field(default_factory=dict)
    held_at: float = 0.0
    lost_at: float = 0.0
    due: float | None = None
    is_silent: bool = False
    fault: str = ""  # why it was lost last

    @property
    def best(self) -> Lease | None:
        """Return the lease with which most can be done."""
        return best_lease(self.leases.values())


class Input(NamedTuple):
    """An event's details: the lease granted, the source of one withdrawn, and why."""

    now: float
    lease: Lease | None = None
    source: Source | None = None
    reason: str = ""
