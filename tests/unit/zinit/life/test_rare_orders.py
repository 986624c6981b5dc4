"""Events in rare orders on a fake clock: failures within a batch, files that change under way."""

from typing import Any

import pytest

from tests.helpers.zinit.fake_system import World
from zinit.files.reading import parse_service
from zinit.files.service import Service
from zinit.life import reloading

FAILED = 1 << 8


def test_what_started_with_the_one_it_requires_stops_when_that_one_cannot() -> None:
    """Both come back after the same pause, in one batch; the one that is required is gone."""
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
    """Let a running service follow another file, as `zinit reload` does."""
    reloading.replace(world.manager, world.manager.find(name), parse_service(name, text)[0])
    world.settle()
    world.happened()


def test_a_liveness_test_that_a_reload_takes_away_ends() -> None:
    world = World(a="exec: run\nliveness: {test: t, failures: 2}")
    world.boot()
    world.advance(10)
    assert world.labels == ["a", "a/test"]
    replace(world, "a", "exec: run")
    world.end("a/test", FAILED)
    world.advance(100)
    assert world.happened() == ["end a/test"]
    assert world.state("a") == "Running"


def test_a_liveness_test_that_a_reload_brings_begins() -> None:
    world = World(a="exec: run")
    world.boot()
    replace(world, "a", "exec: run\nliveness: {test: t, interval: 5}")
    world.advance(5)
    assert world.labels == ["a", "a/test"]


def test_a_readiness_test_that_a_reload_takes_away_holds_nothing_up() -> None:
    world = World(a="exec: run\ntest: t")
    world.boot()
    assert world.labels == ["a", "a/test"]
    replace(world, "a", "exec: run")
    assert world.state("a") == "Running"
    assert world.labels == ["a"]


def test_a_test_that_waited_for_its_turn_too_long_is_not_run() -> None:
    """The service said that it is ready: its readiness test is no liveness test."""
    world = World(a="exec: run\ntest: t", b="exec: run\ntest: t\nready: notify")
    world.manager.add([world.load(name) for name in ("a", "b")])
    world.manager.launcher.work()  # starts both and queues their tests
    world.ready("b")
    world.advance(100)
    assert world.happened() == ["spawn a", "spawn b", "spawn a/test"]
    assert world.system.reports == []


def test_what_was_ended_for_a_fault_is_no_success() -> None:
    """It left with status 0, but only because it was told to."""
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


def test_pauses_never_shrink() -> None:
    world = World(a="exec: run\nrestart: {delay: 120}")  # above the default of max_delay
    world.boot()
    for _ in range(3):
        world.end("a", FAILED)
        world.advance(119)
        assert world.labels == []
        world.advance(2)
        assert world.labels == ["a"]


class Files:
    """What `reload` wants of a folder."""

    path = "etc"

    def __init__(self, world: World) -> None:
        self._world = world

    def names(self) -> list[str]:
        return sorted(self._world.files)

    def load(self, name: str) -> Service:
        if name not in self._world.files:
            raise FileNotFoundError(2, "No such file", name)
        return self._world.load(name)


@pytest.mark.parametrize("text", ["exec: run", "exec: run\ndir: /tmp"])
def test_a_file_that_comes_back_while_its_service_stops(text: str) -> None:
    world = World(a="exec: run")
    world.system.obeys = False
    world.boot()
    files: Any = Files(world)
    del world.files["a"]
    assert reloading.reload(world.manager, files)["removed"] == ["a"]
    world.files["a"] = text
    assert reloading.reload(world.manager, files)["added"] == ["a"]
    world.end("a", 15)
    world.advance(5)
    assert world.states == {"a": "Running"}
    assert world.manager.find("a").record.service.dir == world.load("a").dir


def test_a_start_that_somebody_asks_for_does_not_wait_for_a_long_restart_pause() -> None:
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
