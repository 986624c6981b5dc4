"""Zinit's own keys on a fake clock: restarts, probes, liveness, watchdog, requires, wants."""

import errno

import pytest

from tests.helpers.zinit.fake_system import World

FAILED = 1 << 8


def test_the_restart_delay_grows_to_its_maximum_and_is_reset_after_a_long_run() -> None:
    world = World(a="exec: run\nrestart: {delay: 1, factor: 3, max_delay: 5, window: 10}")
    world.boot()
    delays = []
    for _ in range(5):
        world.end("a", FAILED)
        before = world.system.time
        while not world.labels:
            world.advance(0.5)
        delays.append(world.system.time - before)
    assert delays == pytest.approx([1, 3, 5, 5, 5], abs=0.6)
    world.advance(11)
    world.end("a", FAILED)
    world.advance(1.1)
    assert world.labels == ["a"]


def test_too_many_restarts_are_a_crash_until_a_start_by_command() -> None:
    world = World(
        a="exec: run\nrestart: {delay: 0.1, factor: 1, limit: 3, window: 60}",
        b="exec: run\nrequires: [a]",
    )
    world.boot()
    for _ in range(4):
        assert world.states["b"] in ("Running", "Blocked")
        world.end("a", FAILED)
        world.advance(0.2)
    assert world.state("a").startswith("Crashed(3 restarts in 60 s, then Error(Exited(")
    world.advance(100)
    assert world.labels == []
    assert world.state("b") == "Blocked"  # the crash affects dependents
    world.do("start", "a")
    world.advance(3)
    assert world.labels == ["a", "b"]


def test_restart_policies() -> None:
    world = World(
        always="exec: run\nrestart: always",
        onfail="exec: run\nrestart: on-failure",
        never="exec: run\nrestart: never",
        retry="exec: run\noneshot: true\nrestart: {policy: on-failure, delay: 1}",
    )
    world.boot()
    for name in ("always", "onfail", "never"):
        world.end(name, 0)
    world.end("retry", FAILED)
    world.advance(3)
    assert world.labels == ["always", "retry"]
    world.end("retry", 0)
    world.advance(10)
    assert world.state("retry") == "Success"
    assert world.state("onfail") == "Success"


def test_dependents_stop_and_start_with_a_required_service() -> None:
    world = World(
        a="exec: run", b="exec: run\nrequires: [a]", c="exec: run\nrequires: [b]", d="exec: run"
    )
    world.boot()
    world.do("stop", "a")
    assert world.labels == ["d"]
    assert world.manager.status("c")["target"] == "Up"
    world.advance(10)
    assert world.labels == ["d"]
    world.do("start", "a")
    world.advance(5)
    assert world.labels == ["a", "b", "c", "d"]


def test_after_alone_does_not_stop_dependents() -> None:
    world = World(a="exec: run", b="exec: run\nafter: [a]")
    world.boot()
    world.do("stop", "a")
    assert world.labels == ["b"]


def test_a_restart_of_a_required_service_does_not_stop_dependents() -> None:
    world = World(a="exec: run", b="exec: run\nrequires: [a]")
    world.boot()
    world.end("a", FAILED)
    assert world.labels == ["b"]
    world.advance(3)
    assert world.labels == ["a", "b"]


def test_wants_waits_but_starts_after_failures() -> None:
    world = World(
        good="exec: run\ntest: check",
        bad="exec: run\noneshot: true",
        gone="exec: run",
        x="exec: run\nwants: [good, bad, gone, unknown]",
    )
    world.system.refuse["gone"] = FileNotFoundError(errno.ENOENT, "no such file")
    world.boot()
    assert world.state("x") == "Blocked"
    world.end("good/test")
    assert world.state("x") == "Blocked"
    world.end("bad", FAILED)
    assert world.state("x") == "Running"


def test_a_probe_that_hangs_is_killed_and_repeated() -> None:
    world = World(a="exec: run\ntest: check\nprobe: {interval: 1, timeout: 3}")
    world.boot()
    first = world.system.pid_of("a/test")
    world.advance(3.1)
    assert first not in world.system.running
    world.advance(1.1)
    world.end("a/test")
    assert world.state("a") == "Running"
    world.advance(100)
    assert world.state("a") == "Running"


def test_failed_liveness_tests_in_a_row_restart_a_service() -> None:
    world = World(
        a="exec: run\nliveness: {test: alive, interval: 10, timeout: 2, failures: 2}"
        "\nrestart: on-failure"
    )
    world.boot()
    world.advance(10)
    world.end("a/test", FAILED)
    world.advance(10)
    world.end("a/test")  # one success resets the count
    world.advance(10)
    world.end("a/test", FAILED)
    assert world.state("a") == "Running"
    world.advance(12.1)  # the next test hangs
    assert world.system.reports == ["a: failed its liveness test 2 times"]
    world.advance(3)
    assert world.happened().count("spawn a") == 2
    assert world.state("a") == "Running"


def test_a_liveness_test_for_which_no_process_is_free_is_no_failure() -> None:
    world = World(a="exec: run\nliveness: {test: alive, interval: 10, failures: 2}")
    world.boot()
    world.system.refuse["a/test"] = OSError(errno.EMFILE, "Too many open files")
    world.advance(100)
    assert world.system.reports == []
    world.system.refuse["a/test"] = OSError(errno.ENOENT, "No such file")
    world.advance(20.1)
    assert world.system.reports == ["a: failed its liveness test 2 times"]


def test_the_watchdog_aborts_a_service_without_pings() -> None:
    world = World(a="exec: run\nwatchdog: 5")
    world.boot()
    for _ in range(3):
        world.advance(4)
        world.tell("a", b"WATCHDOG=1")
    world.happened()
    world.advance(5.1)
    assert world.happened()[0] == "signal a 6"
    world.end("a", 6)
    world.advance(3)
    assert world.labels == ["a"]


def test_the_watchdog_counts_from_readiness() -> None:
    world = World(a="exec: run\nready: notify\nwatchdog: 5")
    world.boot()
    world.advance(3)
    world.tell("a", b"WATCHDOG=1")
    world.happened()
    world.advance(20)
    assert world.happened() == []
    world.ready("a")
    world.advance(4.9)
    assert world.happened() == []
    world.advance(0.2)
    assert world.happened()[0] == "signal a 6"


def test_a_program_that_is_being_written_is_started_later() -> None:
    world = World(a="exec: run")
    world.system.refuse["a"] = OSError(26, "Text file busy")
    world.boot()
    assert world.state("a") == "Failure"
    world.system.refuse.clear()
    world.advance(3)
    assert world.state("a") == "Running"


def test_a_start_that_takes_too_long_is_a_failure() -> None:
    world = World(a="exec: run\nready: notify\nstart_timeout: 5\nrestart: {limit: 1, delay: 1}")
    world.boot()
    world.advance(5.1)
    assert world.labels == []
    world.advance(1.1)
    assert world.labels == ["a"]
    world.advance(5.1)
    assert world.state("a").startswith("Crashed(1 restarts")
    assert "not ready within 5 s" in world.state("a")


def test_kill_cgroup_kills_the_remaining_processes() -> None:
    world = World(a="exec: run\ncgroup: {kill: cgroup}", b="exec: run\ncgroup: {}")
    world.boot()
    world.happened()
    world.do("stop", "a")
    world.do("stop", "b")
    assert world.happened() == [
        "signal a 15",
        "end a",
        "kill cgroup a",
        "signal b 15",
        "end b",
    ]


def test_reload_affects_only_changed_services() -> None:
    world = World(
        same="exec: run", live="exec: run", cmd="exec: run", gone="exec: run", bad="exec: run"
    )
    world.boot()
    pids = {name: world.system.pid_of(name) for name in world.labels}
    world.files.update(live="exec: run\nrestart: never", cmd="exec: other", bad="exec: 'x")
    world.files["new"] = "exec: run"
    del world.files["gone"]
    done = world.reload()
    assert done == {
        "added": ["new"],
        "changed": ["live"],
        "restarted": ["cmd"],
        "removed": ["gone"],
        "failed": {"bad": "line 1: found unexpected end of stream"},
    }
    world.advance(3)
    assert world.labels == ["bad", "cmd", "live", "new", "same"]
    kept = {name: world.system.pid_of(name) for name in ("same", "live", "bad")}
    assert kept == {name: pids[name] for name in kept}
    assert world.manager.find("cmd").record.service.exec == "other"
    world.end("live", 0)
    world.advance(10)
    assert "live" not in world.labels


def test_reload_during_a_stop_does_not_start_the_service() -> None:
    world = World(a="exec: run")
    world.system.obeys = False
    world.boot()
    world.do("stop", "a")
    world.files["a"] = "exec: other"
    world.reload()
    world.end("a", 15)
    world.advance(60)
    assert world.labels == []
    assert world.reload()["failed"] == {}
    assert world.labels == []


def test_reload_during_the_pause_does_not_add_a_second_start() -> None:
    world = World(a="exec: run")
    world.boot()
    world.end("a", FAILED)
    world.files["a"] = "exec: other"
    world.reload()
    world.advance(10)
    assert world.happened().count("spawn a") == 2


def test_a_blocked_service_follows_its_new_dependencies() -> None:
    world = World(a="exec: run\nafter: [nobody]")
    world.boot()
    world.files["a"] = "exec: run"
    world.reload()
    assert world.labels == ["a"]
