"""The states of a DHCP client (RFC 2131, section 4.4) as a table. No I/O and no clock.

`Machine.step` takes an event and the time and returns what to do, as values. A client starts
without a lease and ends (`ENDED`) when its lease is lost or refused; the caller pauses and starts
another one.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from node.network.dhcp.message import Kind, Reply, Request

FIRST_RESEND_S = 1.0
LONGEST_RESEND_S = 8.0
RENEWAL_RESEND_S = 2.0  # the least pause between two requests for the same lease
REQUEST_TRIES = 4
SHORTEST_LEASE_S = 5  # a shorter one is ignored: renewing it would flood the server
SHORTEST_RENEWAL_S = 1
FOREVER = 0xFFFFFFFF
RENEWAL_SHARE, REBINDING_SHARE = 0.5, 0.875


class State(Enum):
    """RFC 2131's states; a node stores no lease, so it has no INIT-REBOOT."""

    INIT = "init"
    SELECTING = "selecting"
    REQUESTING = "requesting"
    BOUND = "bound"
    RENEWING = "renewing"
    REBINDING = "rebinding"
    ENDED = "ended"


class Event(Enum):
    """What happens: a server's message, or a time that has come."""

    START = "start"
    OFFER = "offer"
    ACK = "ack"
    NAK = "nak"
    RESEND = "resend"
    UNANSWERED = "unanswered"
    RENEW = "renew"
    REBIND = "rebind"
    EXPIRE = "expire"


REPLIES = {Kind.OFFER: Event.OFFER, Kind.ACK: Event.ACK, Kind.NAK: Event.NAK}

# (state, event): the next state and what is done. A reply without an entry is ignored; any other
# event without one is an error.
TABLE: dict[tuple[State, Event], tuple[State, str]] = {
    (State.INIT, Event.START): (State.SELECTING, "begin"),
    (State.SELECTING, Event.RESEND): (State.SELECTING, "discover"),
    (State.SELECTING, Event.OFFER): (State.REQUESTING, "choose"),
    (State.REQUESTING, Event.RESEND): (State.REQUESTING, "request"),
    (State.REQUESTING, Event.UNANSWERED): (State.SELECTING, "begin"),
    (State.REQUESTING, Event.ACK): (State.BOUND, "bind"),
    (State.REQUESTING, Event.NAK): (State.ENDED, "refuse"),
    (State.BOUND, Event.RENEW): (State.RENEWING, "renew"),
    (State.RENEWING, Event.RESEND): (State.RENEWING, "renew"),
    (State.RENEWING, Event.ACK): (State.BOUND, "bind"),
    (State.RENEWING, Event.NAK): (State.ENDED, "refuse"),
    (State.RENEWING, Event.REBIND): (State.REBINDING, "rebind"),
    (State.REBINDING, Event.RESEND): (State.REBINDING, "rebind"),
    (State.REBINDING, Event.ACK): (State.BOUND, "bind"),
    (State.REBINDING, Event.NAK): (State.ENDED, "refuse"),
    (State.REBINDING, Event.EXPIRE): (State.ENDED, "expire"),
}


@dataclass(frozen=True)
class Send:
    """Send `request`: to the server of the lease, or to everyone."""

    request: Request
    is_broadcast: bool = True


@dataclass(frozen=True)
class Bind:
    """Use the lease in `reply`."""

    reply: Reply


@dataclass(frozen=True)
class End:
    """There is no lease any more, for this reason."""

    reason: str


Effect = Send | Bind | End


class Machine:
    """One client: its state, its lease, and the times at which something is due."""

    def __init__(self, mac: bytes, new_xid: Callable[[], int] | None = None) -> None:
        self.mac = mac
        self.state = State.INIT
        self.timers: dict[Event, float] = {}
        self.lease: Reply | None = None
        self._offer: Reply | None = None
        self._new_xid = new_xid or (lambda: random.getrandbits(32))
        self.xid, self._tries, self._pauses = 0, 0, resend_pauses()
        self._started_at = self._requested_at = 0.0
        self._renew_at = self._rebind_at = self._expire_at = 0.0

    def step(self, event: Event, now: float, reply: Reply | None = None) -> list[Effect]:
        """Take `event` (with the message that is its cause) and return what to do."""
        entry = TABLE.get((self.state, event))
        if entry is None:
            if event in REPLIES.values():
                return []
            raise ValueError(f"{event.value} cannot happen while {self.state.value}")
        self.state, action = entry
        self.timers.clear()
        effects: list[Effect] = ACTIONS[action](self, now, reply)
        return effects

    def accepts(self, reply: Reply) -> Event | None:
        """Return the event that a message is, or None if it is not for this client now."""
        event = REPLIES.get(reply.kind)
        if event is None or reply.xid != self.xid or reply.mac != self.mac or not reply.server:
            return None
        if event != Event.NAK and lease_time(reply) < SHORTEST_LEASE_S:
            return None
        chosen = self._offer if self.state == State.REQUESTING else self.lease
        is_fixed = self.state in (State.REQUESTING, State.RENEWING)
        if is_fixed and chosen and reply.server != chosen.server:
            return None  # another server has no say in it
        return event

    def next_due(self) -> tuple[float, Event] | None:
        """Return the earliest timer; None if nothing is due (a lease without an end)."""
        return min(
            ((at, event) for event, at in self.timers.items()),
            default=None,
            key=lambda pair: pair[0],
        )

    def release(self) -> Send | None:
        """Return the message that gives the lease back; None without one."""
        if self.lease is None:
            return None
        lease, self.lease, self.state = self.lease, None, State.ENDED
        self.timers.clear()
        xid = self._new_xid()
        request = Request(Kind.RELEASE, xid, self.mac, own=lease.address, server=lease.server)
        return Send(request, is_broadcast=False)

    # What the table's actions do

    def begin(self, now: float, reply: Reply | None) -> list[Effect]:
        """Ask all servers for an offer, with a new number; an earlier offer is forgotten."""
        self.xid, self._started_at, self._pauses = self._new_xid(), now, resend_pauses()
        return self.discover(now, reply)

    def discover(self, now: float, _: Reply | None) -> list[Effect]:
        """Ask all servers for an offer."""
        self.timers[Event.RESEND] = now + next(self._pauses)
        return [Send(Request(Kind.DISCOVER, self.xid, self.mac, self._seconds(now)))]

    def choose(self, now: float, reply: Reply | None) -> list[Effect]:
        """Take an offer."""
        self._offer, self._tries = reply, 0
        self._pauses = resend_pauses()
        return self.request(now, reply)

    def request(self, now: float, _: Reply | None) -> list[Effect]:
        """Ask for the address that was offered."""
        assert self._offer is not None
        self._tries += 1
        self._requested_at = now
        event = Event.RESEND if self._tries < REQUEST_TRIES else Event.UNANSWERED
        self.timers[event] = now + next(self._pauses)
        offer = self._offer
        wanted = {"wanted": offer.address, "server": offer.server}
        return [Send(Request(Kind.REQUEST, self.xid, self.mac, self._seconds(now), **wanted))]

    def bind(self, now: float, reply: Reply | None) -> list[Effect]:
        """Use a lease; its time began when it was asked for."""
        assert reply is not None
        self.lease, begin = reply, self._requested_at
        seconds = lease_time(reply)
        if seconds == FOREVER:
            return [Bind(reply)]
        renewal = reply.options.get("renewal_time", 0)
        rebinding = reply.options.get("rebinding_time", 0)
        if not SHORTEST_RENEWAL_S <= renewal < rebinding < seconds:
            renewal, rebinding = seconds * RENEWAL_SHARE, seconds * REBINDING_SHARE
        self._renew_at, self._rebind_at = begin + renewal, begin + rebinding
        self._expire_at = begin + seconds
        self.timers[Event.RENEW] = max(self._renew_at, now)
        return [Bind(reply)]

    def renew(self, now: float, _: Reply | None) -> list[Effect]:
        """Ask the lease's server for more time."""
        self.timers[Event.REBIND] = self._rebind_at
        self._arm_resend(now, self._rebind_at)
        return [Send(self._extend(now), is_broadcast=False)]

    def rebind(self, now: float, _: Reply | None) -> list[Effect]:
        """Ask any server for more time."""
        self.timers[Event.EXPIRE] = self._expire_at
        self._arm_resend(now, self._expire_at)
        return [Send(self._extend(now))]

    def refuse(self, now: float, reply: Reply | None) -> list[Effect]:
        """End because of a server's refusal."""
        del now
        assert reply is not None
        self.lease = None
        said = str(reply.options.get("message", ""))[:80]
        return [End(f"server {reply.server} refuses" + (f': "{said}"' if said else ""))]

    def expire(self, now: float, reply: Reply | None) -> list[Effect]:
        """End because the lease's time is over."""
        del now, reply
        self.lease = None
        return [End("the lease has run out, and no server extends it")]

    def _extend(self, now: float) -> Request:
        assert self.lease is not None
        self._requested_at = now
        return Request(Kind.REQUEST, self.xid, self.mac, own=self.lease.address)

    def _arm_resend(self, now: float, end: float) -> None:
        """Ask again after half of the time that is left, as RFC 2131 says."""
        at = now + max((end - now) / 2, RENEWAL_RESEND_S)
        if at + RENEWAL_RESEND_S <= end:  # else the next step is near
            self.timers[Event.RESEND] = at

    def _seconds(self, now: float) -> int:
        return max(0, int(now - self._started_at))


Action = Callable[[Machine, float, Reply | None], list[Effect]]
ACTIONS: dict[str, Action] = {
    "discover": Machine.discover,
    "begin": Machine.begin,
    "choose": Machine.choose,
    "request": Machine.request,
    "bind": Machine.bind,
    "renew": Machine.renew,
    "rebind": Machine.rebind,
    "refuse": Machine.refuse,
    "expire": Machine.expire,
}


def lease_time(reply: Reply) -> int:
    """Return the lease's seconds, 0 if the server named none."""
    return int(reply.options.get("lease_time", 0))


def resend_pauses() -> Iterator[float]:
    """Yield the pauses between two equal messages: doubling, each ±25 % at random."""
    pause = FIRST_RESEND_S
    while True:
        yield pause * random.uniform(0.75, 1.25)  # noqa: S311 - not a secret
        pause = min(pause * 2, LONGEST_RESEND_S)
