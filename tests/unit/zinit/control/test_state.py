"""A change of programs in the middle of anything changes nothing: the same story with and without.

Times are odd numbers, so that no two timers are due at once.
"""

import json
import random
import re

import pytest

from tests.helpers.zinit.fake_system import World
from zinit.control.state import dump_manager, load_manager
from zinit.files.reading import parse_service
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
    """Do one step; `luck`, below 1, says which way."""
    manager, labels = world.manager, world.labels
    if kind == "time":
        world.advance(0.001 + 12 * luck**3)
    elif kind == "end" and name in labels:
        world.end(name, (0, 256, 9)[int(luck * 3)])
    elif kind == "end probe" and f"{name}/test" in labels:
        world.end(f"{name}/test", (0, 256)[int(luck * 2)])
    elif kind == "do" and not manager.goal:  # what is forgotten in a shutdown frees others earlier
        world.do(COMMANDS[int(luck * 4)], name)
    elif kind in ("ready", "ping") and name in labels:
        world.tell(name, b"READY=1" if kind == "ready" else b"WATCHDOG=1")
    elif kind == "obey":
        world.system.obeys = luck < 0.5
    elif kind == "shutdown":
        manager.shut_down(POWEROFF)
    elif kind == "change" and name in manager.units and not manager.goal:
        text = f"exec: run\n{CHANGES[int(luck * 5)]}"
        manager.replace(manager.find(name), parse_service(name, text)[0])


def start_anew(world: World) -> None:
    state = json.loads(json.dumps(dump_manager(world.manager)))
    world.manager = Manager(world.system, world.load)
    load_manager(world.manager, state)
    world.settle()


def tell_story(files: dict[str, str], steps: list[Step], anew: list[bool]) -> list[object]:
    """Return what was to be seen after each step."""
    world = World(**files)
    world.boot()
    seen: list[object] = []
    for (kind, name, luck), is_anew in zip(steps, anew, strict=True):
        if is_anew:
            start_anew(world)
        try:
            take(world, kind, name, luck)
        except CommandError as error:
            seen.append(str(error))
        world.settle()
        shown = re.sub(r"Pid\(\d+\)", "Pid", str(world.states))
        seen.append((kind, name, shown, world.labels, world.manager.is_finished))
    return seen


@pytest.mark.parametrize("first", range(0, 600, 100))
def test_a_new_program_goes_on_as_the_old_one_would_have(first: int) -> None:
    for seed in range(first, first + 100):
        dice = random.Random(seed)
        files = make_files(dice)
        steps = make_steps(dice, list(files))
        anew = [dice.random() < 0.6 for _ in steps]
        plain = tell_story(files, steps, [False] * len(steps))
        assert tell_story(files, steps, anew) == plain, f"seed {seed}"
