"""The states of a DHCPv6 client (RFC 8415, section 18.2) as a table. No I/O and no clock.

As `node.network.dhcp.machine`: `step` takes an event and the time and returns what to do. A client
ends (`ENDED`) when its lease is lost; the caller pauses and starts another one.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from node.network.dhcp6.message import Address, Kind, Reply, Request

FIRST_RESEND_S = 1.0
LONGEST_RESEND_S = 30.0
REQUEST_TRIES = 4
SHORTEST_LEASE_S = 5  # a shorter one is ignored: renewing it would flood the server
RENEWAL_RESEND_S = 10.0
FOREVER = 0xFFFFFFFF
RENEWAL_SHARE, REBINDING_SHARE = 0.5, 0.8
REFRESH_S, LEAST_REFRESH_S = 86400, 600  # RFC 8415, section 21.23
SUCCESS, NO_BINDING = 0, 3


class State(Enum):
    """The states; a node stores no lease, so it confirms none."""

    INIT = "init"
    SOLICITING = "soliciting"
    REQUESTING = "requesting"
    BOUND = "bound"
    RENEWING = "renewing"
    REBINDING = "rebinding"
    ASKING = "asking"  # for what is beside an address
    TOLD = "told"
    ENDED = "ended"


class Event(Enum):
    """What happens: a server's message, or a time that has come."""

    START = "start"
    START_STATELESS = "start stateless"
    ADVERTISE = "advertise"
    REPLY = "reply"
    INFORM = "inform"  # a reply to a question without an address
    REFUSE = "refuse"  # a reply without the address that was asked for
    RESEND = "resend"
    UNANSWERED = "unanswered"
    RENEW = "renew"
    REBIND = "rebind"
    EXPIRE = "expire"
    REFRESH = "refresh"


REPLIES = (Event.ADVERTISE, Event.REPLY, Event.INFORM, Event.REFUSE)

# (state, event): the next state and what is done. A reply without an entry is ignored; any other
# event without one is an error.
TABLE: dict[tuple[State, Event], tuple[State, str]] = {
    (State.INIT, Event.START): (State.SOLICITING, "begin"),
    (State.INIT, Event.START_STATELESS): (State.ASKING, "begin_asking"),
    (State.SOLICITING, Event.RESEND): (State.SOLICITING, "solicit"),
    (State.SOLICITING, Event.ADVERTISE): (State.REQUESTING, "choose"),
    (State.REQUESTING, Event.RESEND): (State.REQUESTING, "request"),
    (State.REQUESTING, Event.UNANSWERED): (State.SOLICITING, "begin"),
    (State.REQUESTING, Event.REPLY): (State.BOUND, "bind"),
    (State.REQUESTING, Event.REFUSE): (State.ENDED, "refuse"),
    (State.BOUND, Event.RENEW): (State.RENEWING, "begin_renewing"),
    (State.RENEWING, Event.RESEND): (State.RENEWING, "renew"),
    (State.RENEWING, Event.REPLY): (State.BOUND, "bind"),
    (State.RENEWING, Event.REFUSE): (State.ENDED, "refuse"),
    (State.RENEWING, Event.REBIND): (State.REBINDING, "begin_rebinding"),
    (State.REBINDING, Event.RESEND): (State.REBINDING, "rebind"),
    (State.REBINDING, Event.REPLY): (State.BOUND, "bind"),
    (State.REBINDING, Event.REFUSE): (State.ENDED, "refuse"),
    (State.REBINDING, Event.EXPIRE): (State.ENDED, "expire"),
    (State.ASKING, Event.RESEND): (State.ASKING, "ask"),
    (State.ASKING, Event.INFORM): (State.TOLD, "note"),
    (State.TOLD, Event.REFRESH): (State.ASKING, "begin_asking"),
}


@dataclass(frozen=True)
class Send:
    """Send `request` to all servers."""

    request: Request


@dataclass(frozen=True)
class Bind:
    """Use the lease in `reply`."""

    reply: Reply


@dataclass(frozen=True)
class Note:
    """Use what `reply` says beside an address."""

    reply: Reply


@dataclass(frozen=True)
class End:
    """There is no lease any more, for this reason."""

    reason: str


Effect = Send | Bind | Note | End


class Machine:
    """One client: its state, its lease, and the times at which something is due."""

    def __init__(self, duid: bytes, new_xid: Callable[[], int] | None = None) -> None:
        self.duid = duid
        self.state = State.INIT
        self.timers: dict[Event, float] = {}
        self.lease: Reply | None = None
        self._offer: Reply | None = None
        self._new_xid = new_xid or (lambda: random.getrandbits(24))
        self.xid, self._tries, self._pauses = 0, 0, resend_pauses()
        self._started_at = self._rebind_at = self._expire_at = 0.0

    def step(self, event: Event, now: float, reply: Reply | None = None) -> list[Effect]:
        """Take `event` (with the message that is its cause) and return what to do."""
        entry = TABLE.get((self.state, event))
        if entry is None:
            if event in REPLIES:
                return []
            raise ValueError(f"{event.value} cannot happen while {self.state.value}")
        self.state, action = entry
        self.timers.clear()
        effects: list[Effect] = ACTIONS[action](self, now, reply)
        return effects

    def accepts(self, reply: Reply) -> Event | None:
        """Return the event that a message is, or None if it is not for this client now."""
        if reply.xid != self.xid or reply.client != self.duid:
            return None
        if reply.kind is Kind.ADVERTISE:
            return Event.ADVERTISE if is_grant(reply) else None
        chosen = self._offer if self.state is State.REQUESTING else self.lease
        is_fixed = self.state in (State.REQUESTING, State.RENEWING)
        if is_fixed and chosen and reply.server != chosen.server:
            return None  # another server has no say in it
        if self.state is State.ASKING:
            return Event.INFORM
        return Event.REPLY if is_grant(reply) else Event.REFUSE

    def next_due(self) -> tuple[float, Event] | None:
        """Return the earliest timer; None if nothing is due (a lease without an end)."""
        pairs = ((at, event) for event, at in self.timers.items())
        return min(pairs, default=None, key=lambda pair: pair[0])

    def release(self) -> Send | None:
        """Return the message that gives the lease back; None without one."""
        lease, self.lease, self.state = self.lease, None, State.ENDED
        self.timers.clear()
        if lease is None or lease.address is None:
            return None
        words = {"server": lease.server, "address": lease.address.address}
        return Send(Request(Kind.RELEASE, self._new_xid(), self.duid, **words))  # type: ignore[arg-type]

    # What the table's actions do

    def begin(self, now: float, reply: Reply | None) -> list[Effect]:
        """Ask all servers for an offer, with a new number; an earlier offer is forgotten."""
        self._restart(now)
        return self.solicit(now, reply)

    def solicit(self, now: float, _: Reply | None) -> list[Effect]:
        """Ask all servers for an offer."""
        return self._send(Kind.SOLICIT, now)

    def choose(self, now: float, reply: Reply | None) -> list[Effect]:
        """Take an offer."""
        self._offer, self._tries = reply, 0
        self._restart(now)
        return self.request(now, reply)

    def request(self, now: float, _: Reply | None) -> list[Effect]:
        """Ask for the address that was offered."""
        assert self._offer is not None
        self._tries += 1
        event = Event.RESEND if self._tries < REQUEST_TRIES else Event.UNANSWERED
        return self._send(Kind.REQUEST, now, self._offer, event)

    def bind(self, now: float, reply: Reply | None) -> list[Effect]:
        """Use a lease; its time began when it was asked for."""
        assert reply is not None and reply.address is not None
        self.lease, address = reply, reply.address
        if address.valid_s == FOREVER:
            return [Bind(reply)]
        renew_s, rebind_s = renewal_times(address)
        self._rebind_at = self._started_at + rebind_s
        self._expire_at = self._started_at + address.valid_s
        self.timers[Event.RENEW] = max(self._started_at + renew_s, now)
        return [Bind(reply)]

    def begin_renewing(self, now: float, reply: Reply | None) -> list[Effect]:
        """Ask the lease's server for more time, with a new number."""
        self._restart(now)
        return self.renew(now, reply)

    def renew(self, now: float, _: Reply | None) -> list[Effect]:
        """Ask the lease's server for more time."""
        return self._extend(Kind.RENEW, now, Event.REBIND, self._rebind_at)

    def begin_rebinding(self, now: float, reply: Reply | None) -> list[Effect]:
        """Ask any server for more time, with a new number."""
        self._restart(now)
        return self.rebind(now, reply)

    def rebind(self, now: float, _: Reply | None) -> list[Effect]:
        """Ask any server for more time."""
        return self._extend(Kind.REBIND, now, Event.EXPIRE, self._expire_at)

    def begin_asking(self, now: float, reply: Reply | None) -> list[Effect]:
        """Ask for what is beside an address, with a new number."""
        self._restart(now)
        return self.ask(now, reply)

    def ask(self, now: float, _: Reply | None) -> list[Effect]:
        """Ask for what is beside an address."""
        return self._send(Kind.INFORMATION, now)

    def note(self, now: float, reply: Reply | None) -> list[Effect]:
        """Use what a server says, for as long as it says."""
        assert reply is not None
        self.timers[Event.REFRESH] = now + max(reply.refresh_s or REFRESH_S, LEAST_REFRESH_S)
        return [Note(reply)]

    def refuse(self, now: float, reply: Reply | None) -> list[Effect]:
        """End because of a server's refusal."""
        del now
        assert reply is not None
        self.lease = None
        return [End(f"a DHCPv6 server grants no address (status {reply.status})")]

    def expire(self, now: float, reply: Reply | None) -> list[Effect]:
        """End because the lease's time is over."""
        del now, reply
        self.lease = None
        return [End("the DHCPv6 lease has run out, and no server extends it")]

    def _restart(self, now: float) -> None:
        self.xid, self._started_at, self._pauses = self._new_xid(), now, resend_pauses()

    def _send(
        self, kind: Kind, now: float, to: Reply | None = None, event: Event = Event.RESEND
    ) -> list[Effect]:
        self.timers[event] = now + next(self._pauses)
        elapsed = now - self._started_at
        server, address = (to.server, to.address) if to else (b"", None)
        text = address.address if address else ""
        return [Send(Request(kind, self.xid, self.duid, elapsed, server, text))]

    def _extend(self, kind: Kind, now: float, event: Event, end: float) -> list[Effect]:
        assert self.lease is not None and self.lease.address is not None
        self.timers[event] = end
        if now + RENEWAL_RESEND_S < end:
            self.timers[Event.RESEND] = now + RENEWAL_RESEND_S
        server = self.lease.server if kind is Kind.RENEW else b""
        words = (now - self._started_at, server, self.lease.address.address)
        return [Send(Request(kind, self.xid, self.duid, *words))]


Action = Callable[[Machine, float, Reply | None], list[Effect]]
ACTIONS: dict[str, Action] = {
    "begin": Machine.begin,
    "solicit": Machine.solicit,
    "choose": Machine.choose,
    "request": Machine.request,
    "bind": Machine.bind,
    "begin_renewing": Machine.begin_renewing,
    "renew": Machine.renew,
    "begin_rebinding": Machine.begin_rebinding,
    "rebind": Machine.rebind,
    "begin_asking": Machine.begin_asking,
    "ask": Machine.ask,
    "note": Machine.note,
    "refuse": Machine.refuse,
    "expire": Machine.expire,
}


def is_grant(reply: Reply) -> bool:
    """Return whether a message grants an address that can be kept for a while."""
    is_long = reply.address is not None and reply.address.valid_s >= SHORTEST_LEASE_S
    return is_long and reply.status == SUCCESS


def renewal_times(address: Address) -> tuple[float, float]:
    """Return after how many seconds to renew and to rebind, in a possible order."""
    if 0 < address.renew_s < address.rebind_s < address.valid_s:
        return address.renew_s, address.rebind_s
    return address.preferred_s * RENEWAL_SHARE, address.preferred_s * REBINDING_SHARE


def resend_pauses() -> Iterator[float]:
    """Yield the pauses between two equal messages: doubling, each ±10 % at random."""
    pause = FIRST_RESEND_S
    while True:
        yield pause * random.uniform(0.9, 1.1)  # noqa: S311 - not a secret
        pause = min(pause * 2, LONGEST_RESEND_S)
