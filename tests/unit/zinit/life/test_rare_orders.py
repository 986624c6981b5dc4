"""Events in rare orders on a fake clock: failures within a batch, files that change meanwhile."""

from collections.abc import Sequence

import pytest

from tests.helpers.zinit.fake_system import World
from zinit.files.reading import parse_service
from zinit.life import reloading
from zinit.life.unit import Launch

FAILED = 1 << 8


def test_a_service_stops_if_the_one_it_requires_fails_in_the_same_batch() -> None:
    """Both restart after the same pause; the program of the required one is gone."""
    world = World(a="exec: run", b="exec: run\nrequires: [a]")
    world.boot()
    for name in ("a", "b"):
        world.system.end(world.system.pid_of(name), 9)
    world.system.refuse["a"] = FileNotFoundError(2, "No such file")
    world.settle()
    world.advance(30)
    assert world.states == {"a": "Failure", "b": "Blocked"}
    assert world.labels == []


def replace(world: World, name: str, text: str) -> None:
    """Give a running service another file, as `zinit reload` does."""
    reloading.replace(world.manager, world.manager.find(name), parse_service(name, text)[0])
    world.settle()
    world.happened()


def test_a_reload_can_remove_a_liveness_test() -> None:
    world = World(a="exec: run\nliveness: {test: t, failures: 2}")
    world.boot()
    world.advance(10)
    assert world.labels == ["a", "a/test"]
    replace(world, "a", "exec: run")
    world.end("a/test", FAILED)
    world.advance(100)
    assert world.happened() == ["end a/test"]
    assert world.state("a") == "Running"


def test_a_reload_can_add_a_liveness_test() -> None:
    world = World(a="exec: run")
    world.boot()
    replace(world, "a", "exec: run\nliveness: {test: t, interval: 5}")
    world.advance(5)
    assert world.labels == ["a", "a/test"]


def test_a_service_whose_readiness_test_a_reload_removes_is_ready() -> None:
    world = World(a="exec: run\ntest: t")
    world.boot()
    assert world.labels == ["a", "a/test"]
    replace(world, "a", "exec: run")
    assert world.state("a") == "Running"
    assert world.labels == ["a"]


def test_a_queued_readiness_test_is_dropped_when_the_service_is_ready() -> None:
    """It must not run as a liveness test."""
    world = World(a="exec: run\ntest: t", b="exec: run\ntest: t\nready: notify")
    world.manager.add([world.load(name) for name in ("a", "b")])
    world.manager.launcher.work()  # starts both and queues their tests
    world.ready("b")
    world.advance(100)
    assert world.happened() == ["spawn a", "spawn b", "spawn a/test"]
    assert world.system.reports == []


def test_status_0_after_a_fault_is_no_success() -> None:
    """The service ended with status 0, but only because zinit stopped it."""
    world = World(a="exec: run\nready: notify\nstart_timeout: 5", b="exec: run\nafter: [a]")
    world.system.obeys = False
    world.boot()
    world.advance(5)
    world.end("a", 0)
    assert world.states == {"a": "Error(was not ready within 5 s)", "b": "Blocked"}


def test_a_oneshot_has_a_time_limit_too() -> None:
    world = World(a="exec: run\noneshot: true\nstart_timeout: 5", b="exec: run\nafter: [a]")
    world.boot()
    world.advance(5)
    assert world.state("a").startswith("Error(Signaled(Pid(")
    world.advance(60)
    assert world.labels == []


def test_the_restart_delay_never_shrinks() -> None:
    world = World(a="exec: run\nrestart: {delay: 120}")  # above the default of max_delay
    world.boot()
    for _ in range(3):
        world.end("a", FAILED)
        world.advance(119)
        assert world.labels == []
        world.advance(2)
        assert world.labels == ["a"]


@pytest.mark.parametrize("text", ["exec: run", "exec: run\ndir: /tmp"])
def test_a_file_may_come_back_while_its_service_stops(text: str) -> None:
    world = World(a="exec: run")
    world.system.obeys = False
    world.boot()
    del world.files["a"]
    assert world.reload()["removed"] == ["a"]
    world.files["a"] = text
    assert world.reload()["added"] == ["a"]
    world.end("a", 15)
    world.advance(5)
    assert world.states == {"a": "Running"}
    assert world.manager.find("a").record.service.dir == world.load("a").dir


def test_a_start_by_command_does_not_wait_for_a_long_restart_delay() -> None:
    world = World(a="exec: run\nrestart: {delay: 60}", b="exec: run\nrestart: {delay: 0.5}")
    world.boot()
    for name in ("a", "b"):
        world.do("stop", name)
        world.do("start", name)
    world.advance(0.5)
    assert world.labels == ["b"]
    world.advance(1.5)
    assert world.labels == ["a", "b"]
    world.end("a", FAILED)
    world.advance(59)
    assert world.labels == ["b"]


def test_fewer_services_are_started_at_once_where_each_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Clients are served between the batches."""
    world = World(**{f"s{number:02}": "exec: run" for number in range(60)})
    took_s = 0.003
    batches = []
    spawn = world.system.spawn

    def spawn_slowly(launches: Sequence[Launch]) -> list[int | Exception]:
        batches.append(len(launches))
        world.system.time += took_s * len(launches)
        return spawn(launches)

    monkeypatch.setattr(world.system, "spawn", spawn_slowly)
    world.boot()
    assert sum(batches) == 60
    assert max(batches[1:]) < 8
    took_s = 0.0
    batches.clear()
    for name in world.labels:
        world.system.end(world.system.pid_of(name), 0)
    world.settle()
    world.advance(30)
    assert max(batches) == 10
