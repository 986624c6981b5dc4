"""A service has ended when its whole process group has."""

import json
from typing import Any

import pytest

from tests.helpers.zinit.fake_system import World

FAILED = 1 << 8


def end_master(world: World, status: int = FAILED) -> int:
    """End the main process of `a`, but not the others of its group; return its pid."""
    pid = world.system.pid_of("a")
    world.system.left.add(pid)
    world.end("a", status)
    return pid


def record(world: World) -> Any:
    return world.manager.find("a").record


def test_a_stop_waits_for_the_group() -> None:
    world = World(a="exec: run\nstop_timeout: 5")
    world.boot()
    pid = world.system.pid_of("a")
    world.system.left.add(pid)
    world.do("stop", "a")
    world.advance(1)
    assert record(world).has_process
    world.system.left.clear()
    world.advance(1)
    assert (record(world).pid, world.state("a")) == (
        0,
        f"Error(Signaled(Pid({pid}), SIGTERM, false))",
    )


def test_members_that_ignore_the_stop_signal_are_killed_in_time() -> None:
    world = World(a="exec: run\nstop_timeout: 5")
    world.boot()
    world.system.left.add(world.system.pid_of("a"))
    world.do("stop", "a")
    world.happened()
    world.advance(4.9)
    assert world.happened() == []
    world.advance(0.7)
    assert world.happened() == ["signal group 9"]
    assert not record(world).has_process


def test_members_are_stopped_before_a_restart() -> None:
    world = World(a="exec: run\nrestart: {delay: 1}", b="exec: run\nrequires: [a]")
    world.boot()
    world.happened()
    end_master(world)
    world.advance(5)
    assert world.happened() == ["end a", "signal group 15"]
    world.system.left.clear()
    world.advance(0.1)
    assert world.state("a").startswith("Error(Exited")
    world.advance(1.1)
    assert world.happened() == ["spawn a"]
    assert world.states == {"a": "Running", "b": "Running"}
    assert "a: its main process has ended, stopping the rest of its group" in world.system.reports


def test_restarts_in_a_row_are_reported_once() -> None:
    world = World(a="exec: run\nrestart: {delay: 1, factor: 1}")
    world.boot()
    for _ in range(5):
        end_master(world)
        world.system.left.clear()
        world.advance(2)
    assert len(world.system.reports) == 1
    assert world.state("a") == "Running"


def test_the_restart_limit_counts_ends_with_a_group() -> None:
    world = World(a="exec: run\nrestart: {delay: 0, limit: 1, window: 60}")
    world.boot()
    for _ in range(2):
        end_master(world)
        world.system.left.clear()
        world.advance(1)
    assert world.state("a").startswith("Crashed(1 restarts in 60 s, then Error(Exited")


def test_what_a_successful_oneshot_leaves_goes_on() -> None:
    world = World(a="exec: run\noneshot: true", b="exec: run\nafter: [a]")
    world.boot()
    world.happened()
    end_master(world, 0)
    assert world.states == {"a": "Success", "b": "Running"}
    assert world.happened() == ["end a", "spawn b"]


@pytest.mark.parametrize("is_up", [True, False])
def test_a_command_while_the_group_ends_decides_what_follows(is_up: bool) -> None:
    world = World(a="exec: run\nrestart: never")
    world.boot()
    end_master(world)
    world.do("restart" if is_up else "stop", "a")
    world.system.left.clear()
    world.advance(5)
    assert record(world).has_process == is_up


def test_a_new_process_with_the_number_of_the_group_is_not_signalled() -> None:
    world = World(a="exec: run\nstop_timeout: 5", b="exec: run")
    world.boot()
    world.do("stop", "b")
    pid = end_master(world)
    world.system.last_pid = pid - 1  # the group has ended, and its number is free
    world.advance(3)
    world.do("start", "b")
    assert world.system.pid_of("b") == pid
    world.happened()
    world.advance(3)
    assert world.happened() == ["spawn a"]
    assert world.state("b") == "Running"


def test_what_a_test_leaves_is_killed() -> None:
    world = World(a="exec: run\ntest: t")
    world.boot()
    world.system.left.add(world.system.pid_of("a/test"))
    world.happened()
    world.end("a/test", 0)
    assert world.happened() == ["end a/test", "signal group 9"]
    assert world.state("a") == "Running"


def test_a_reexec_goes_on_waiting_for_the_group() -> None:
    old = World(a="exec: run\nstop_timeout: 5")
    old.boot()
    end_master(old)
    new = World(**old.files)
    new.system.left = old.system.left
    new.system.last_pid = 500
    new.manager.restore(json.loads(json.dumps(old.manager.dump())))
    new.advance(1)
    assert record(new).has_process
    new.system.left.clear()
    new.advance(0.1)
    assert not record(new).has_process
    new.advance(5)
    assert new.state("a") == "Running"
