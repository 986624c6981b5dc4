"""Start, stop, restart, probe and shutdown on a fake clock, without a process."""

import errno

import pytest

from tests.helpers.zinit.fake_system import World
from zinit.life.manager import POWEROFF
from zinit.life.unit import CommandError

DAEMON = "exec: run\n"


def test_services_start_in_after_order() -> None:
    world = World(c="exec: run\nafter: [b]", b="exec: run\nafter: [a]", a=DAEMON)
    world.boot()
    assert world.happened() == ["spawn a", "spawn b", "spawn c"]
    assert set(world.states.values()) == {"Running"}


def test_a_oneshot_satisfies_dependents_only_after_success() -> None:
    world = World(
        good="exec: run\noneshot: true",
        bad="exec: run\noneshot: true",
        x="exec: run\nafter: [good]",
        y="exec: run\nafter: [bad]",
    )
    world.boot()
    assert world.states == {"good": "Running", "bad": "Running", "x": "Blocked", "y": "Blocked"}
    world.end("good")
    world.end("bad", 3 << 8)
    assert world.state("x") == "Running"
    assert world.state("y") == "Blocked"
    assert world.state("bad").startswith("Error(Exited(Pid(")
    world.do("start", "bad")
    world.end("bad")
    assert world.state("y") == "Running"


def test_a_daemon_is_restarted_two_seconds_after_its_end() -> None:
    world = World(a=DAEMON)
    world.boot()
    world.end("a", 1 << 8)
    world.advance(1.9)
    assert world.labels == []
    world.advance(0.2)
    assert world.labels == ["a"]


def test_nothing_restarts_after_stop() -> None:
    world = World(a=DAEMON)
    world.boot()
    world.end("a", 1 << 8)
    world.do("stop", "a")  # in the pause before the restart
    world.advance(60)
    assert world.labels == []
    assert world.manager.status("a")["target"] == "Down"


def test_stop_escalates_to_sigkill() -> None:
    world = World(a="exec: run\nshutdown_timeout: 3")
    world.system.obeys = False
    world.boot()
    world.happened()
    world.do("stop", "a")
    world.advance(2.9)
    assert world.happened() == ["signal a 15"]
    world.advance(0.2)
    assert world.happened() == ["signal a 9", "end a"]
    world.advance(60)
    assert world.labels == []


def test_a_probe_gates_readiness_and_is_repeated_every_two_seconds() -> None:
    world = World(a="exec: run\ntest: check", b="exec: run\nafter: [a]")
    world.boot()
    assert world.states == {"a": "Spawned", "b": "Blocked"}
    world.end("a/test", 1 << 8)
    world.advance(1.9)
    assert world.labels == ["a"]
    world.advance(0.2)
    assert world.labels == ["a", "a/test"]
    world.end("a/test")
    assert world.states == {"a": "Running", "b": "Running"}


def test_a_probe_is_killed_when_its_service_ends() -> None:
    world = World(a="exec: run\ntest: check")
    world.boot()
    probe = world.system.pid_of("a/test")
    world.end("a", 1 << 8)
    assert probe not in world.system.running
    assert world.state("a").startswith("Error")


def test_a_probe_that_cannot_be_spawned_is_retried_after_a_pause() -> None:
    """Upstream retries in a busy loop."""
    world = World(a="exec: run\ntest: check")
    world.system.refuse["a/test"] = FileNotFoundError(errno.ENOENT, "no such file")
    world.boot()
    assert world.state("a") == "TestFailure"
    world.system.refuse.clear()
    world.advance(2.1)
    world.end("a/test")
    assert world.state("a") == "Running"


def test_ready_notification_gates_dependents() -> None:
    world = World(a="exec: run\nready: notify", b="exec: run\nafter: [a]")
    world.boot()
    assert world.states == {"a": "Spawned", "b": "Blocked"}
    world.ready("a")
    assert world.states == {"a": "Running", "b": "Running"}


def test_a_spawn_error_is_final_unless_it_may_pass() -> None:
    """Upstream also gives up after EAGAIN."""
    world = World(a=DAEMON, b=DAEMON)
    world.system.refuse["a"] = FileNotFoundError(errno.ENOENT, "no such file")
    world.system.refuse["b"] = BlockingIOError(errno.EAGAIN, "try again")
    world.boot()
    assert world.states == {"a": "Failure", "b": "Failure"}
    world.system.refuse.clear()
    world.advance(10)
    assert world.states == {"a": "Failure", "b": "Running"}
    world.do("start", "a")
    assert world.state("a") == "Running"


def test_a_shutdown_stops_direct_and_indirect_dependents_first() -> None:
    world = World(
        a=DAEMON,
        one="exec: run\noneshot: true\nafter: [a]",
        c="exec: run\nafter: [one]",
    )
    world.boot()
    world.end("one")
    world.system.obeys = False
    world.happened()
    world.do("shut_down", POWEROFF)
    assert world.happened() == ["signal c 15"]
    world.end("c")
    assert world.happened() == ["end c", "signal a 15"]
    assert not world.manager.is_finished
    world.end("a")
    assert world.manager.is_finished


def test_a_shutdown_ends_despite_cycles_and_unknown_names() -> None:
    """Upstream never finishes a shutdown with a cycle."""
    world = World(
        a="exec: run\nafter: [b]",
        b="exec: run\nafter: [a, nobody]",
        c="exec: run\nafter: [c]",
        d=DAEMON,
    )
    world.boot()
    world.manager.report_cycles()
    assert [text.split(": ")[1] for text in world.system.reports] == ["a, b", "c"]
    assert world.labels == ["d"]
    world.do("shut_down", POWEROFF)
    assert world.manager.is_finished


def test_a_shutdown_cancels_a_pending_restart() -> None:
    world = World(a=DAEMON, b=DAEMON)
    world.boot()
    world.end("a", 1 << 8)
    world.system.obeys = False
    world.do("shut_down", POWEROFF)
    world.advance(5)
    assert world.labels == ["b"]
    world.end("b")
    world.advance(60)
    assert world.labels == []
    assert world.manager.is_finished


def test_a_process_that_survives_sigkill_does_not_block_a_shutdown() -> None:
    world = World(a="exec: run\nshutdown_timeout: 1")
    world.boot()
    world.system.kill_group = lambda pid, number: None  # type: ignore[method-assign]
    world.do("shut_down", POWEROFF)
    world.advance(10)
    assert world.manager.is_finished
    assert any("still exists after SIGKILL" in text for text in world.system.reports)


def test_refusals_use_upstreams_texts() -> None:
    world = World(a=DAEMON)
    world.boot()
    for call, text in (
        (("start", "x"), 'service name "x" unknown'),
        (("monitor", "a"), 'service "a" already monitored'),
        (("forget", "a"), 'service "a" is up'),
        (("kill", "a", "WAT"), "EINVAL: Invalid argument"),
    ):
        with pytest.raises(CommandError) as refused:
            world.do(*call)
        assert str(refused.value) == text
    world.do("stop", "a")
    with pytest.raises(CommandError, match='service "a" is down'):
        world.do("kill", "a", "SIGTERM")
    world.do("forget", "a")
    assert world.states == {}
    world.do("shut_down", POWEROFF)
    with pytest.raises(CommandError, match="zinit is shutting down"):
        world.do("monitor", "a")


def test_a_thousand_services_on_one_dependency_stay_linear() -> None:
    files = {f"s{n}": "exec: run\nafter: [base]" for n in range(1000)}
    world = World(**files, base=DAEMON)
    world.boot()
    assert len(world.labels) == 1001
    world.do("shut_down", POWEROFF)
    assert world.manager.is_finished
