"""Thousands of random service graphs and event orders, checked against an independent model.

The model knows nothing of the machine. It watches what happens to processes (spawn, signal, end)
and checks these invariants.

1.  A service has at most one process.
2.  It is spawned only if it is wanted. Its first spawn also needs every name in `after` and
    `requires` to be satisfied: a daemon that is ready, or a service that last ended with success.
3.  After `stop`, it is not spawned until the next `start`.
4.  A shutdown spawns nothing, and stops a service only when none of its direct and indirect
    dependents has a process.
5.  A shutdown always ends, whatever the services do.
6.  No impossible event reaches the machine.
"""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.zinit.fake_system import World
from zinit.files.nodes import ConfigError
from zinit.life.graph import find_groups
from zinit.life.manager import REBOOT
from zinit.life.unit import CommandError, Launch

NAMES = ("a", "b", "c", "d", "e", "f")
IN_SHUTDOWN = ("end well", "end badly", "ready", "probe", "deaf")
SHUTDOWN_LIMIT_S = 10_000.0


@st.composite
def files(draw: st.DrawFn) -> dict[str, str]:
    """Draw service files with any dependencies, cycles and unknown names included."""
    texts = {}
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True)):
        text = "exec: run\n"
        for key in ("after", "requires", "wants"):
            others = draw(st.lists(st.sampled_from((*NAMES, "stranger")), max_size=2))
            if others:
                text += f"{key}: [{', '.join(others)}]\n"
        text += draw(st.sampled_from(("", "oneshot: true\n", "ready: notify\n", "test: check\n")))
        restarts = ("", "restart: never\n", "restart: on-failure\n", "restart: {limit: 2}\n")
        text += draw(st.sampled_from(restarts))
        text += draw(st.sampled_from(("", "stop_timeout: 1\n", "start_timeout: 3\n")))
        texts[name] = text
    return texts


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("start", "stop", "end well", "end badly", "ready", "probe", "wait", "deaf",
                         "forget", "monitor")),
        st.sampled_from(NAMES),
    ),
    max_size=25,
)  # fmt: skip


class Watcher:
    """The model: checks everything that happens to processes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.running: set[str] = set()
        self.stopped: set[str] = set()
        self.told: set[str] = set()  # stopped since their last spawn
        self.in_shutdown = False

    def look(self) -> None:
        """Check what has happened since the last call."""
        for event in self.world.happened():
            verb, label, *_ = event.split()
            if "/" in label or verb == "kill":
                continue
            if verb == "spawn":
                self.on_spawn(label)
            elif verb == "end":
                self.running.discard(label)
            elif verb == "signal":
                if self.in_shutdown and label not in self.told:
                    self.on_signal(label)
                self.told.add(label)

    def on_spawn(self, name: str) -> None:
        assert name not in self.running, "1: a second process"
        assert not self.in_shutdown, "4: spawned in a shutdown"
        assert name not in self.stopped, "3: spawned after stop"
        self.running.add(name)
        self.told.discard(name)

    def on_signal(self, name: str) -> None:
        edges = {key: unit.record.service.edges for key, unit in self.world.manager.units.items()}
        group = find_groups(edges)
        waiting = {name}
        for _ in edges:
            waiting |= {key for key, deps in edges.items() if waiting & set(deps)}
        for other in waiting - {name}:
            if group[other] != group[name]:
                assert other not in self.running, f"4: {name} stops before {other}"


def is_satisfied(world: World, name: str) -> bool:
    """Return whether `after: [name]` is met, by the rule in the reference."""
    state = world.states.get(name)
    if state == "Success":
        return True
    return state == "Running" and "oneshot" not in world.files[name]


def play(world: World, watcher: Watcher, verb: str, name: str) -> None:
    """Do one step; a refusal is allowed."""
    if verb in ("start", "stop", "forget", "monitor"):
        if verb in ("start", "monitor"):
            watcher.stopped.discard(name)
        try:
            world.do(verb, name)
        except (CommandError, ConfigError):
            return
        if verb == "stop":
            watcher.stopped.add(name)
    elif verb == "wait":
        world.advance(2.5)
    elif verb == "deaf":
        world.system.obeys = not world.system.obeys
    elif verb == "ready" and name in world.labels:
        world.ready(name)
    elif verb == "probe" and f"{name}/test" in world.labels:
        world.end(f"{name}/test", 0)
    elif verb.startswith("end") and name in world.labels:
        world.end(name, 0 if verb == "end well" else 256)


# It takes half a minute on an idle machine, and far longer on a busy one.
@pytest.mark.timeout(1200)
@settings(
    max_examples=2000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(files(), STEPS, STEPS)
def test_the_invariants_hold_in_any_order_of_events(
    texts: dict[str, str], steps: list[tuple[str, str]], late: list[tuple[str, str]]
) -> None:
    world = World(**texts)
    watcher = Watcher(world)
    spawn = world.system.spawn

    def checked_spawn(launches: Sequence[Launch]) -> list[int | Exception]:
        for launch in launches:
            record = world.manager.units[launch.service.name].record
            is_first = launch.label == launch.service.name and not record.started_at
            if is_first:
                for dep in (*launch.service.after, *launch.service.requires):
                    assert is_satisfied(world, dep), f"2: {launch.label} before {dep}"
        return spawn(launches)

    world.system.spawn = checked_spawn  # type: ignore[method-assign]
    world.boot()
    watcher.look()
    for verb, name in steps:
        play(world, watcher, verb, name)
        watcher.look()
    watcher.in_shutdown = True
    world.do("shut_down", REBOOT)
    watcher.look()
    waited = 0.0
    rest = iter(late)
    while not world.manager.is_finished:
        verb, name = next(rest, ("wait", ""))
        if verb in IN_SHUTDOWN:
            play(world, watcher, verb, name)
        world.advance(1.0)
        watcher.look()
        waited += 1.0
        assert waited < SHUTDOWN_LIMIT_S, "5: the shutdown does not end"
    assert not any("/" not in label for label in world.labels)
    world.advance(100)
    watcher.look()
