"""The states of a DHCPv6 client."""

from dataclasses import replace

import pytest

from node.network.dhcp6.machine import (
    ACTIONS,
    FOREVER,
    LEAST_REFRESH_S,
    REPLIES,
    TABLE,
    Bind,
    End,
    Event,
    Machine,
    Note,
    Send,
    State,
)
from node.network.dhcp6.message import Address, Kind, Reply

DUID, SERVER, OTHER = b"\x00\x03\x00\x01node", b"server", b"other"
ADDRESS = Address("2001:db8::9", 200, 300, 100, 160)


def machine() -> Machine:
    """Return a machine whose numbers are 1, 2, 3..."""
    numbers = iter(range(1, 1000))
    return Machine(DUID, lambda: next(numbers))


def reply(one: Machine, kind: Kind = Kind.REPLY, **changes: object) -> Reply:
    """Return a server's message for the machine."""
    good = Reply(kind, one.xid, DUID, SERVER, ADDRESS, ("2001:db8::53",))
    return replace(good, **changes)  # type: ignore[arg-type]


def bound(now: float = 0.0) -> Machine:
    """Return a machine with a lease."""
    one = machine()
    one.step(Event.START, now)
    one.step(Event.ADVERTISE, now, reply(one, Kind.ADVERTISE))
    (bind,) = one.step(Event.REPLY, now, reply(one))
    assert isinstance(bind, Bind)
    return one


def sent(effects: list[object]) -> list[Kind]:
    """Return the kinds of messages that are sent."""
    return [effect.request.kind for effect in effects if isinstance(effect, Send)]


def test_the_table_names_every_action_and_each_pair_is_one_or_refused() -> None:
    assert {action for _, action in TABLE.values()} == set(ACTIONS)
    for state in State:
        for event in Event:
            if (state, event) in TABLE:
                continue
            one = machine()
            one.state = state
            if event in REPLIES:
                assert one.step(event, 0.0) == []
            else:
                with pytest.raises(ValueError, match="cannot happen while"):
                    one.step(event, 0.0)


def test_an_address_is_asked_for_and_renewed() -> None:
    one = machine()
    assert sent([*one.step(Event.START, 0.0)]) == [Kind.SOLICIT]
    (request,) = one.step(Event.ADVERTISE, 1.0, reply(one, Kind.ADVERTISE))
    assert isinstance(request, Send)
    assert (request.request.server, request.request.address) == (SERVER, "2001:db8::9")
    assert one.step(Event.REPLY, 2.0, reply(one)) == [Bind(reply(one))]
    assert one.next_due() == (101.0, Event.RENEW)
    assert sent([*one.step(Event.RENEW, 101.0)]) == [Kind.RENEW]
    assert isinstance(one.step(Event.REPLY, 102.0, reply(one))[0], Bind)
    assert one.next_due() == (201.0, Event.RENEW)


def test_a_server_that_is_silent_costs_the_lease_in_the_end() -> None:
    one, now, seen = bound(), 0.0, []
    while one.state is not State.ENDED:
        due = one.next_due()
        assert due is not None and due[0] >= now
        now = due[0]
        effects = one.step(due[1], now)
        seen += sent([*effects])
    assert now == 300.0
    assert seen[0] == Kind.RENEW and seen[-1] == Kind.REBIND
    assert effects == [End("the DHCPv6 lease has run out, and no server extends it")]
    assert one.release() is None


def test_an_offer_that_is_not_kept_is_followed_by_another_question() -> None:
    one, now, seen = machine(), 0.0, []
    one.step(Event.START, now)
    one.step(Event.ADVERTISE, now, reply(one, Kind.ADVERTISE))
    while one.state is State.REQUESTING:
        due = one.next_due()
        assert due is not None
        now = due[0]
        seen += sent([*one.step(due[1], now)])
    assert seen == [Kind.REQUEST] * 3 + [Kind.SOLICIT]


def test_a_server_that_takes_the_address_away() -> None:
    one = bound()
    one.step(Event.RENEW, 100.0)
    taken = reply(one, address=None, status=3)
    assert one.accepts(taken) is Event.REFUSE
    assert one.step(Event.REFUSE, 101.0, taken) == [
        End("a DHCPv6 server grants no address (status 3)")
    ]


def test_what_is_beside_an_address_is_asked_for_again() -> None:
    one = machine()
    assert sent([*one.step(Event.START_STATELESS, 0.0)]) == [Kind.INFORMATION]
    told = reply(one, address=None, refresh_s=1)
    assert one.accepts(told) is Event.INFORM
    assert one.step(Event.INFORM, 5.0, told) == [Note(told)]
    assert one.next_due() == (5.0 + LEAST_REFRESH_S, Event.REFRESH)
    assert sent([*one.step(Event.REFRESH, 700.0)]) == [Kind.INFORMATION]


def test_a_lease_without_an_end_is_not_renewed() -> None:
    one = machine()
    one.step(Event.START, 0.0)
    one.step(Event.ADVERTISE, 0.0, reply(one, Kind.ADVERTISE))
    one.step(Event.REPLY, 0.0, reply(one, address=replace(ADDRESS, valid_s=FOREVER)))
    assert one.next_due() is None


@pytest.mark.parametrize("times", [(0, 0), (160, 100), (100, 400)])
def test_impossible_times_are_replaced(times: tuple[int, int]) -> None:
    one = machine()
    one.step(Event.START, 0.0)
    one.step(Event.ADVERTISE, 0.0, reply(one, Kind.ADVERTISE))
    odd = replace(ADDRESS, renew_s=times[0], rebind_s=times[1])
    one.step(Event.REPLY, 0.0, reply(one, address=odd))
    assert one.next_due() == (100.0, Event.RENEW)


def test_what_is_not_for_this_client() -> None:
    one = machine()
    one.step(Event.START, 0.0)
    assert one.accepts(reply(one, Kind.ADVERTISE)) is Event.ADVERTISE
    assert one.accepts(reply(one, Kind.ADVERTISE, xid=99)) is None
    assert one.accepts(reply(one, Kind.ADVERTISE, client=b"x")) is None
    assert one.accepts(reply(one, Kind.ADVERTISE, address=None)) is None
    assert one.accepts(reply(one, Kind.ADVERTISE, status=2)) is None
    assert one.accepts(reply(one, Kind.ADVERTISE, address=replace(ADDRESS, valid_s=4))) is None
    one.step(Event.ADVERTISE, 0.0, reply(one, Kind.ADVERTISE))
    assert one.accepts(reply(one, server=OTHER)) is None
    assert one.accepts(reply(one)) is Event.REPLY


def test_a_lease_is_given_back() -> None:
    one = bound()
    release = one.release()
    assert release is not None and release.request.kind is Kind.RELEASE
    assert (release.request.server, release.request.address) == (SERVER, "2001:db8::9")
    assert one.state is State.ENDED and one.release() is None
