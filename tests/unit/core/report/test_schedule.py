"""When reports are due."""

import pytest

from core.report.schedule import (
    CHANGES_APART_S,
    DAY_S,
    EARLIEST,
    HEARTBEAT,
    INTERVAL_MAX_S,
    INTERVAL_MIN_S,
    REGISTER,
    RETRY_MAX_S,
    WAIT_MAX_S,
    Schedule,
)


def test_a_node_registers_first_and_then_says_that_it_lives() -> None:
    plan = Schedule("node")
    assert (plan.due_at, plan.kind(5.0)) == (0.0, REGISTER)
    plan.succeed(REGISTER, 5.0, 2400)
    assert plan.kind(6.0) == HEARTBEAT
    assert 5 + 2400 * EARLIEST <= plan.due_at <= 5 + 2400


def test_it_registers_once_a_day() -> None:
    plan = Schedule("node")
    now, kinds = 0.0, []
    while now < 3 * DAY_S:
        kind = plan.kind(now)
        kinds.append(kind)
        plan.succeed(kind, now, 2400)
        now = plan.due_at
    assert kinds.count(REGISTER) == 3
    assert 3 * 36 <= len(kinds) <= 3 * 36 / EARLIEST + 3


def test_heartbeats_are_never_later_than_the_interval() -> None:
    plan = Schedule("node")
    for _ in range(200):
        plan.succeed(HEARTBEAT, 100.0, 2400)
        assert 100 + 2400 * EARLIEST <= plan.due_at <= 2500


@pytest.mark.parametrize(
    ("asked", "used"),
    [(1, INTERVAL_MIN_S), (10**9, INTERVAL_MAX_S), (-5, INTERVAL_MIN_S), (600, 600)],
)
def test_the_registry_s_interval_has_bounds(asked: float, used: float) -> None:
    plan = Schedule("node")
    plan.succeed(HEARTBEAT, 0.0, asked)
    assert plan.interval_s == used


def test_failures_are_tried_again_ever_later_within_bounds() -> None:
    plan = Schedule("node")
    pauses = [plan.fail(0.0) for _ in range(40)]
    assert 2 <= pauses[0] <= 3 and 4 <= pauses[1] <= 6
    assert all(RETRY_MAX_S <= pause <= 1.5 * RETRY_MAX_S for pause in pauses[12:])
    plan.succeed(REGISTER, 0.0, 2400)
    assert plan.fail(0.0) <= 3


def test_the_registry_may_ask_for_a_pause_but_not_for_ever() -> None:
    plan = Schedule("node")
    assert 60 <= plan.fail(0.0, 60) <= 90
    assert plan.fail(0.0, 1e9) <= 1.5 * WAIT_MAX_S


def test_nodes_that_start_together_do_not_come_back_together() -> None:
    dues = set()
    for number in range(50):
        plan = Schedule(f"node {number}")
        plan.succeed(REGISTER, 0.0, 2400)
        dues.add(round(plan.due_at))
    assert len(dues) > 30


def test_a_node_keeps_to_its_own_numbers() -> None:
    first, second = Schedule("node"), Schedule("node")
    assert [first.fail(0.0) for _ in range(5)] == [second.fail(0.0) for _ in range(5)]


def test_a_change_of_facts_is_registered_soon() -> None:
    plan = Schedule("node")
    plan.succeed(REGISTER, 0.0, 2400)
    plan.change(1000.0)
    assert plan.kind(1000.0) == REGISTER
    assert 1000 <= plan.due_at <= 1002
    plan.succeed(REGISTER, 1001.0, 2400)
    assert plan.kind(1002.0) == HEARTBEAT


def test_facts_that_change_all_the_time_are_not_registered_all_the_time() -> None:
    plan = Schedule("node")
    plan.succeed(REGISTER, 1000.0, 2400)
    plan.change(1001.0)
    assert plan.due_at >= 1000 + CHANGES_APART_S


def test_a_change_does_not_hurry_what_failed() -> None:
    plan = Schedule("node")
    plan.succeed(REGISTER, 0.0, 2400)
    for _ in range(8):
        plan.fail(100.0)
    due = plan.due_at
    plan.change(101.0)
    assert plan.due_at == due
