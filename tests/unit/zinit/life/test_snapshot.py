"""A manager goes on with the state of another one, of this version or of an older one.

The same random events are played with and without changes of the program between them. The times
are chosen so that no two timers are due at once.
"""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.zinit.fake_system import World
from zinit.files.reading import parse_service
from zinit.life import reloading
from zinit.life.manager import POWEROFF, Manager
from zinit.life.unit import CommandError

LINES = (
    "oneshot: true",
    "test: t",
    "ready: notify",
    "liveness: {test: t, interval: 3.137, timeout: 2.311, failures: 2}",
    "watchdog: 7.713",
    "start_timeout: 9.919",
    "stop_timeout: 3.461",
    "probe: {interval: 1.303, timeout: 4.127}",
    "restart: {delay: 1.171, factor: 2, limit: 3, window: 30}",
)
CHANGES = ("liveness: {test: t, interval: 2.717}", "test: t", "", "after: [a]", "dir: /x")
COMMANDS = ("start", "stop", "forget", "monitor")
Step = tuple[str, str, float]


def make_files(dice: random.Random) -> dict[str, str]:
    files = {}
    names = "abcdef"[: dice.randint(1, 6)]
    for at, name in enumerate(names):
        below = [other for other in names[:at] if dice.random() < 0.4]
        lines = [line for line in LINES if dice.random() < 0.25]
        if below:
            lines.append(f"{dice.choice(('after', 'requires', 'wants'))}: [{', '.join(below)}]")
        files[name] = "\n".join(["exec: run", *lines])
    return files


def make_steps(dice: random.Random, names: list[str]) -> list[Step]:
    kinds = (
        "time",
        "time",
        "time",
        "end",
        "end probe",
        "do",
        "do",
        "ready",
        "ping",
        "obey",
        "change",
    )
    steps = [
        (dice.choice(kinds), dice.choice(names), dice.random()) for _ in range(dice.randint(5, 25))
    ]
    if dice.random() < 0.3:
        steps.insert(dice.randrange(len(steps)), ("shutdown", "", 0.0))
    return steps


def take(world: World, kind: str, name: str, luck: float) -> None:
    """Do one step; `luck`, from 0 to 1, chooses its variant."""
    manager, labels = world.manager, world.labels
    if kind == "time":
        world.advance(0.001 + 12 * luck**3)
    elif kind == "end" and name in labels:
        world.end(name, (0, 256, 9)[int(luck * 3)])
    elif kind == "end probe" and f"{name}/test" in labels:
        world.end(f"{name}/test", (0, 256)[int(luck * 2)])
    elif kind == "do" and not manager.goal:  # a forgotten service would change a shutdown's order
        world.do(COMMANDS[int(luck * 4)], name)
    elif kind in ("ready", "ping") and name in labels:
        world.tell(name, b"READY=1" if kind == "ready" else b"WATCHDOG=1")
    elif kind == "obey":
        world.system.obeys = luck < 0.5
    elif kind == "shutdown":
        manager.shut_down(POWEROFF)
    elif kind == "change" and name in manager.units and not manager.goal:
        service, _ = parse_service(name, f"exec: run\n{CHANGES[int(luck * 5)]}")
        reloading.replace(manager, manager.find(name), service)


def change_program(world: World) -> None:
    state = json.loads(json.dumps(world.manager.dump()))
    world.manager = Manager(world.system, world.load)
    world.manager.restore(state)
    world.settle()


def play(files: dict[str, str], steps: list[Step], changes: list[bool]) -> list[object]:
    """Return what clients see after each step."""
    world = World(**files)
    world.boot()
    seen: list[object] = []
    for (kind, name, luck), is_change in zip(steps, changes, strict=True):
        if is_change:
            change_program(world)
        try:
            take(world, kind, name, luck)
        except CommandError as error:
            seen.append(str(error))
        world.settle()
        shown = re.sub(r"Pid\(\d+\)", "Pid", str(world.states))
        seen.append((kind, name, shown, world.labels, world.manager.is_finished))
    return seen


@pytest.mark.parametrize("first", range(0, 600, 100))
def test_a_new_program_goes_on_as_the_old_one_would(first: int) -> None:
    for seed in range(first, first + 100):
        dice = random.Random(seed)
        files = make_files(dice)
        steps = make_steps(dice, list(files))
        changes = [dice.random() < 0.6 for _ in steps]
        unchanged = play(files, steps, [False] * len(steps))
        assert play(files, steps, changes) == unchanged, f"seed {seed}"


def load_dump() -> dict[str, Any]:
    """Return the state that the first version dumped for services in every phase and outcome."""
    found: dict[str, Any] = json.loads((Path(__file__).parent / "dump.json").read_text())
    return found


def restore(state: dict[str, Any]) -> World:
    """Return a world whose manager has restored `state`, at the time of the dump."""
    world = World()
    world.system.time = load_dump()["time"]
    world.system.last_pid = 1000
    world.manager.restore(state)
    world.system.running = {
        pid: name if kind == "main" else f"{name}/test" for pid, name, kind in state["pids"]
    }
    return world


def test_the_first_versions_state_is_restored() -> None:
    found = load_dump()
    world = restore(found["manager"])
    assert world.states == found["states"]
    assert world.manager.find("once").record.satisfies
    assert not world.manager.find("late").record.satisfies
    service = world.manager.find("web").record.service
    assert service.limits == {"nofile": (1024, 4096)}
    assert service.capabilities == ("NET_RAW",)
    assert (service.env, service.restart_policy) == ({"PORT": "80"}, "always")
    again = json.loads(json.dumps(world.manager.dump()))
    for old, new in zip(found["manager"]["units"], again["units"], strict=True):
        assert new["service"] == old["service"]
        added = {"reason": "", "ended": -1, "is_unasked": False}  # that version had none of them
        assert new["record"] == {**old["record"], **added}
        assert new["times"] == old["times"]
    assert again["pids"] == found["manager"]["pids"]


def test_the_first_versions_services_go_on() -> None:
    world = restore(load_dump()["manager"])
    world.advance(2.1)
    world.end("broken/test")
    world.end("stops", 15)
    assert world.state("broken") == "Running"
    assert world.state("stops").startswith("Error(Signaled")
    world.advance(50)
    assert world.state("pause") == "Running"
    assert world.state("flap").startswith("Crashed")
    world.do("start", "flap")
    assert world.state("flap") == "Running"


def test_unknown_fields_are_ignored_and_missing_ones_get_their_defaults() -> None:
    state = load_dump()["manager"]
    for unit in state["units"]:
        unit["colour"] = unit["service"]["colour"] = unit["record"]["colour"] = "red"
        for name in ("probe_pid", "timers", "times", "is_leaving"):
            del unit[name]
        for name in ("shown", "restarts", "misses"):
            del unit["record"][name]
        del unit["service"]["restart_delay_s"]
    world = restore(state)
    assert set(world.states.values()) == {"Unknown", "Blocked"}
    record = world.manager.find("web").record
    assert (record.restarts, record.misses, record.phase) == ((), 0, "running")
    assert record.service.restart_delay_s == 2.0
