"""The state table of the DHCP client, walked without a network and without a clock."""

from dataclasses import replace
from itertools import count, pairwise, product
from typing import Any

import pytest

from node.network.dhcp.machine import (
    ACTIONS,
    FOREVER,
    REPLIES,
    TABLE,
    Bind,
    Effect,
    End,
    Event,
    Machine,
    Send,
    State,
)
from node.network.dhcp.message import Kind, Reply

MAC = b"\x02\0\0\0\0\x01"
OPTIONS = {"server_id": "10.9.0.1", "lease_time": 3600}


def reply(machine: Machine, kind: Kind, **options: Any) -> Reply:
    """Return a good message of the server for `machine`."""
    return Reply(kind, machine.xid, MAC, "10.9.0.50", {**OPTIONS, **options})


def give(machine: Machine, kind: Kind, now: float, **options: Any) -> list[Effect]:
    """Feed a message as the shell does; return the effects."""
    message = reply(machine, kind, **options)
    event = machine.accepts(message)
    return [] if event is None else machine.step(event, now, message)


def pass_time(machine: Machine, until: float) -> list[tuple[float, Effect]]:
    """Let every timer up to `until` ring; return the effects with their times."""
    seen: list[tuple[float, Effect]] = []
    while (due := machine.next_due()) and due[0] <= until:
        seen += [(due[0], effect) for effect in machine.step(due[1], due[0])]
    return seen


def bound(**options: Any) -> Machine:
    """Return a machine that got its lease at time 0."""
    machine = Machine(MAC, count(7).__next__)
    machine.step(Event.START, 0.0)
    give(machine, Kind.OFFER, 0.0)
    effects = give(machine, Kind.ACK, 0.0, **options)
    assert isinstance(effects[0], Bind)
    return machine


def in_state(state: State) -> Machine:
    """Return a machine in `state`, with its timers."""
    machine = Machine(MAC, count(7).__next__)
    if state == State.INIT:
        return machine
    machine.step(Event.START, 0.0)
    if state == State.REQUESTING:
        give(machine, Kind.OFFER, 0.0)
    if state not in (State.SELECTING, State.REQUESTING):
        machine = bound()
    if state in (State.RENEWING, State.REBINDING, State.ENDED):
        pass_time(machine, {State.RENEWING: 1800, State.REBINDING: 3150}.get(state, 3600))
    assert machine.state == state
    return machine


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_pair_of_state_and_event_is_in_the_table_ignored_or_an_error(
    state: State, event: Event
) -> None:
    machine = in_state(state)
    message = reply(machine, Kind.ACK)
    if (state, event) in TABLE:
        effects = machine.step(event, 9.0, message)
        assert machine.state == TABLE[state, event][0]
        assert effects
    elif event in REPLIES.values():
        timers = dict(machine.timers)
        assert machine.step(event, 9.0, message) == []
        assert (machine.state, machine.timers) == (state, timers)
    else:
        with pytest.raises(ValueError, match="cannot happen"):
            machine.step(event, 9.0)


def test_every_action_is_used() -> None:
    assert {action for _, action in TABLE.values()} == set(ACTIONS)


@pytest.mark.parametrize("state", [one for one in State if one not in (State.INIT, State.ENDED)])
def test_a_state_never_lasts_for_ever_without_an_answer(state: State) -> None:
    machine = in_state(state)
    for _ in range(100):
        due = machine.next_due()
        if due is None:
            break
        machine.step(due[1], due[0])
    assert machine.state == State.ENDED or machine.state in (State.SELECTING, State.REQUESTING)


def test_a_lease_is_extended_first_by_its_server_then_by_any_and_then_ends() -> None:
    machine = bound()
    seen = pass_time(machine, 1e9)
    sends = [(at, one) for at, one in seen if isinstance(one, Send)]
    assert sends[0][0] == 1800 and not sends[0][1].is_broadcast
    assert next(at for at, one in sends if one.is_broadcast) == 3150
    assert all(one.request.own == "10.9.0.50" for _, one in sends)
    assert len(sends) < 25
    gaps = [later[0] - one[0] for one, later in pairwise(sends)]
    assert min(gaps) >= 2
    at, last = seen[-1]
    assert at == 3600 and isinstance(last, End) and "run out" in last.reason
    assert machine.release() is None


def test_a_second_loss_is_as_the_first() -> None:
    machine = bound(lease_time=8, renewal_time=3, rebinding_time=6)
    pass_time(machine, 3.5)
    assert isinstance(give(machine, Kind.ACK, 3.6, lease_time=8)[0], Bind)
    assert machine.state == State.BOUND
    seen = pass_time(machine, 1e9)
    # The time of a lease begins when it is asked for.
    assert seen[-1][0] == 11.0 and isinstance(seen[-1][1], End)


@pytest.mark.parametrize("state", [State.REQUESTING, State.RENEWING, State.REBINDING])
def test_a_refusal_ends_the_client_and_says_what_the_server_said(state: State) -> None:
    machine = in_state(state)
    assert give(machine, Kind.NAK, 5.0, message="wrong network") == [
        End('server 10.9.0.1 refuses: "wrong network"')
    ]
    assert machine.state == State.ENDED and machine.next_due() is None


@pytest.mark.parametrize("kind", [Kind.ACK, Kind.NAK])
@pytest.mark.parametrize("state", [State.REQUESTING, State.RENEWING])
def test_another_server_has_no_say(state: State, kind: Kind) -> None:
    machine = in_state(state)
    assert give(machine, kind, 5.0, server_id="10.9.0.2") == []
    assert machine.state == state


def test_any_server_may_extend_a_lease_in_the_end() -> None:
    machine = in_state(State.REBINDING)
    assert isinstance(give(machine, Kind.ACK, 3200.0, server_id="10.9.0.2")[0], Bind)


@pytest.mark.parametrize(
    "change",
    [{"xid": 1}, {"mac": b"\x02\0\0\0\0\x09"}, {"options": {"lease_time": 3600}}],
    ids=["another number", "another card", "no server"],
)
def test_a_message_for_another_client_is_ignored(change: dict[str, Any]) -> None:
    machine = in_state(State.SELECTING)
    assert machine.accepts(replace(reply(machine, Kind.OFFER), **change)) is None


@pytest.mark.parametrize("seconds", [0, 1, 4])
def test_a_lease_that_would_flood_its_server_is_ignored(seconds: int) -> None:
    machine = in_state(State.SELECTING)
    assert machine.accepts(reply(machine, Kind.OFFER, lease_time=seconds)) is None


@pytest.mark.parametrize("times", [(0, 0), (0, 10), (10, 10), (9, 5), (3000, 4000), (3600, 3700)])
def test_senseless_times_become_the_usual_shares(times: tuple[int, int]) -> None:
    machine = bound(renewal_time=times[0], rebinding_time=times[1])
    assert machine.next_due() == (1800.0, Event.RENEW)


def test_a_lease_for_ever_has_no_timer() -> None:
    machine = bound(lease_time=FOREVER)
    assert machine.next_due() is None


def test_a_silent_server_is_given_up_and_all_are_asked_again() -> None:
    machine = in_state(State.REQUESTING)
    number = machine.xid
    seen = pass_time(machine, 40.0)
    requests = [one for _, one in seen if isinstance(one, Send)]
    assert [one.request.kind for one in requests].count(Kind.REQUEST) == 3
    assert machine.state == State.SELECTING and machine.xid != number


def test_unanswered_messages_are_sent_less_and_less_often() -> None:
    machine = in_state(State.SELECTING)
    assert 6 < len(pass_time(machine, 60.0)) < 14


def test_a_good_lease_is_given_back() -> None:
    machine = bound()
    effect = machine.release()
    assert effect is not None and not effect.is_broadcast
    request = effect.request
    assert (request.kind, request.own, request.server) == (Kind.RELEASE, "10.9.0.50", "10.9.0.1")
    assert machine.release() is None
