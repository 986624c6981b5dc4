"""The table of an update's life: every pair of state and event, and the walks through it."""

from dataclasses import replace

import pytest

from node.generations.machine import (
    TABLE,
    Action,
    BusyError,
    Event,
    ImpossibleEventError,
    Kind,
    Record,
    State,
    step,
)

OLD, NEW = "1.0.set00000001", "1.0.set00000002"
IDLE = Record(OLD, sequence=4)
UNDER_WAY = replace(IDLE, state=State.FETCHING, target=NEW, target_sequence=5)
REFUSED = {
    (kind, state)
    for kind in (Kind.APPLY, Kind.UNDO)
    for state in State
    if state != State.IDLE and (kind, state) != (Kind.UNDO, State.WATCHING)
}
POSSIBLE = {
    (Kind.APPLY, State.IDLE): State.FETCHING,
    (Kind.UNDO, State.IDLE): State.FETCHING,
    (Kind.UNDO, State.WATCHING): State.ROLLING_BACK,
    (Kind.FETCHED, State.FETCHING): State.SWITCHING,
    (Kind.SWITCHED, State.SWITCHING): State.WATCHING,
    (Kind.HEALTHY, State.WATCHING): State.IDLE,
    (Kind.FAILED, State.FETCHING): State.IDLE,
    (Kind.FAILED, State.SWITCHING): State.ROLLING_BACK,
    (Kind.FAILED, State.WATCHING): State.ROLLING_BACK,
    (Kind.FAILED, State.ROLLING_BACK): State.IDLE,
    (Kind.BACK, State.ROLLING_BACK): State.IDLE,
    **{(Kind.SEQUENCE, state): state for state in State},
}


def walk(record: Record, *events: Event) -> tuple[Record, list[Action]]:
    """Return the record after events, and all actions."""
    actions: list[Action] = []
    for event in events:
        record, more = step(record, event, 100.0)
        actions += more
    return record, actions


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("state", State)
def test_every_event_in_every_state(kind: Kind, state: State) -> None:
    record = replace(UNDER_WAY, state=state, before="1.0.set00000000")
    event = Event(kind, NEW, 5, "it hangs")
    if (kind, state) in REFUSED:
        with pytest.raises(BusyError, match=f"cannot {kind}: the node is {state}"):
            step(record, event, 1.0)
    elif (kind, state) not in POSSIBLE:
        assert state not in TABLE[kind]
        with pytest.raises(ImpossibleEventError):
            step(record, event, 1.0)
    else:
        after, _ = step(record, event, 1.0)
        assert after.state == POSSIBLE[kind, state]
        # Only a set that was watched and found well is ever the one that runs.
        assert after.running == (NEW if kind == Kind.HEALTHY else OLD)


def test_a_good_update() -> None:
    record, actions = walk(
        IDLE,
        Event(Kind.APPLY, NEW, 5),
        Event(Kind.FETCHED),
        Event(Kind.SWITCHED),
        Event(Kind.HEALTHY),
    )
    assert actions == [Action.FETCH, Action.SWITCH, Action.WATCH, Action.CONFIRM]
    assert record == Record(NEW, generation=2, sequence=5, before=OLD, since=100.0)


def test_a_release_that_cannot_be_fetched_is_tried_again() -> None:
    record, actions = walk(IDLE, Event(Kind.APPLY, NEW, 5), Event(Kind.FAILED, reason="no hub"))
    assert actions == [Action.FETCH, Action.ABANDON]
    assert (record.bad, record.reason) == ("", "no hub")
    assert step(record, Event(Kind.APPLY, NEW, 5), 1.0)[0].state == State.FETCHING


@pytest.mark.parametrize("steps", [(Kind.FETCHED,), (Kind.FETCHED, Kind.SWITCHED)])
def test_a_release_that_fails_is_bad_until_the_sequence_changes(steps: tuple[Kind, ...]) -> None:
    record, actions = walk(
        IDLE,
        Event(Kind.APPLY, NEW, 5),
        *(Event(kind) for kind in steps),
        Event(Kind.FAILED, reason="web crashed"),
        Event(Kind.BACK),
    )
    assert actions[-2:] == [Action.ROLL_BACK, Action.ABANDON]
    assert (record.bad, record.bad_sequence, record.reason) == (NEW, 5, "web crashed")
    assert (record.running, record.generation, record.sequence) == (OLD, 1, 4)
    assert walk(record, Event(Kind.SEQUENCE, NEW, 5))[0] == record
    assert walk(record, Event(Kind.SEQUENCE, NEW, 6))[0].bad == ""


def test_a_roll_back_that_fails_still_ends_in_the_old_generation() -> None:
    record, actions = walk(
        IDLE,
        Event(Kind.APPLY, NEW, 5),
        Event(Kind.FETCHED),
        Event(Kind.FAILED, reason="web crashed"),
        Event(Kind.FAILED, reason="web does not stop"),
    )
    assert actions[-1] == Action.ABANDON
    assert (record.state, record.running, record.bad) == (State.IDLE, OLD, NEW)
    assert record.reason == "web crashed; then web does not stop"


def test_an_operator_goes_back_to_the_generation_before() -> None:
    record = replace(IDLE, running=NEW, sequence=5, generation=2, before=OLD)
    record, actions = walk(
        record, Event(Kind.UNDO), Event(Kind.FETCHED), Event(Kind.SWITCHED), Event(Kind.HEALTHY)
    )
    assert actions == [Action.FETCH, Action.SWITCH, Action.WATCH, Action.CONFIRM]
    assert (record.running, record.generation, record.before) == (OLD, 3, "")
    assert (record.bad, record.bad_sequence) == (NEW, 5)  # or the daemon would take it again


def test_without_a_generation_before_there_is_no_way_back() -> None:
    with pytest.raises(BusyError, match="no generation before"):
        step(IDLE, Event(Kind.UNDO), 1.0)


def test_what_runs_already_is_not_applied() -> None:
    with pytest.raises(BusyError, match="runs it already"):
        step(IDLE, Event(Kind.APPLY, OLD, 4), 1.0)
