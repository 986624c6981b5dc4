"""Events in rare orders on a fake clock: failures within a batch, files that change under way."""

from tests.helpers.fake_system import World


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
