"""Long work runs in slices, and nothing in it grows faster than the number of services."""

import time
from collections.abc import Generator
from typing import Any

import pytest

from tests.helpers.zinit.fake_system import FakeFolder, World
from zinit.control.api import Api
from zinit.control.deferred import Deferred, await_job, stop
from zinit.control.jobs import SLICE_S, Jobs
from zinit.files.folder import Folder
from zinit.life import reloading
from zinit.life.graph import find_groups
from zinit.life.manager import POWEROFF
from zinit.life.unit import CommandError
from zinit.log.ring import Ring
from zinit.process.stats import Processes

Steps = Generator[None, None, object]


def count(steps: int, log: list[str], name: str = "a", pause_s: float = 0.0) -> Steps:
    for _ in range(steps):
        log.append(name)
        time.sleep(pause_s)
        yield
    return name


def finish(jobs: Jobs) -> int:
    """Run all jobs; return the number of turns."""
    turns = 1
    while jobs.turn():
        turns += 1
    return turns


def test_a_short_job_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zinit.control.jobs.SLICE_S", 60.0)
    jobs = Jobs()
    job = jobs.begin("lane", "a", lambda: count(3, []))
    assert job.is_done
    assert job.result() == "a"
    assert not jobs.is_busy


def test_a_long_job_takes_many_turns_of_bounded_length() -> None:
    jobs = Jobs()
    jobs.begin("lane", "a", lambda: count(50, [], pause_s=SLICE_S / 4))
    assert finish(jobs) >= 10


def test_a_turn_has_one_slice_for_all_that_ask() -> None:
    """400 clients that ask at once would otherwise get 400 slices in one turn."""
    jobs = Jobs()
    log: list[str] = []
    for name in "abcdefgh":
        jobs.begin(name, name, lambda name=name: count(9, log, name, SLICE_S))  # type: ignore[misc]
    assert len(log) <= 2


def test_jobs_of_one_lane_run_in_order_and_lanes_alternate() -> None:
    jobs = Jobs()
    log: list[str] = []
    for lane, name in (("x", "a"), ("x", "b"), ("y", "c")):
        jobs.begin(lane, name, lambda name=name: count(5, log, name, SLICE_S))  # type: ignore[misc]
    finish(jobs)
    assert [name for name in log if name != "c"] == ["a"] * 5 + ["b"] * 5
    assert log.index("c") < 6


def test_a_waiting_job_is_shared_and_a_running_one_is_not() -> None:
    jobs = Jobs()
    one = jobs.begin("x", "", lambda: count(5, [], pause_s=SLICE_S))
    two, three = (jobs.begin("x", "", lambda: count(5, [])) for _ in range(2))
    assert one.is_begun
    assert two is three is not one
    finish(jobs)
    assert two.is_done


def test_an_error_reaches_who_asked() -> None:
    def fail() -> Steps:
        yield
        raise CommandError("down", "it is down")

    job = Jobs().begin("x", "", fail)
    with pytest.raises(CommandError, match="it is down"):
        job.result()


def make_api(world: World) -> Api:
    api = Api(world.manager, Ring(), Folder("/nowhere", world.system.report))
    api.folder = FakeFolder(world.files)  # type: ignore[assignment]
    return api


def finish_all(api: Api) -> None:
    """Run all jobs."""
    while api.work():
        pass


def test_a_reload_is_answered_when_it_is_done_and_ends_with_a_shutdown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(**{f"s{number:03}": "exec: run" for number in range(300)})
    world.boot()
    api = make_api(world)
    slow(monkeypatch, api.folder)
    for name in world.files:
        world.files[name] = "exec: other"
    reply = await_job(api, api.reload_folder())
    assert isinstance(reply, Deferred)
    assert not reply.is_due(0.0)
    finish_all(api)
    assert reply.is_due(0.0)
    result: Any = reply.result()
    assert result["restarted"] == sorted(world.files)
    reply = await_job(api, api.reload_folder())
    assert isinstance(reply, Deferred)
    world.do("shut_down", POWEROFF)
    finish_all(api)
    with pytest.raises(CommandError, match="shutting down"):
        reply.result()


def slow(monkeypatch: pytest.MonkeyPatch, folder: Any) -> None:
    """Let every file take a while to read."""
    load = folder.load

    def load_slowly(name: str) -> object:
        time.sleep(0.001)
        return load(name)

    monkeypatch.setattr(folder, "load", load_slowly)


def chain(size: int, more: str = "") -> dict[str, str]:
    """Return files of services of which each wants the one before."""
    return {
        f"s{number:04}": f"exec: run{more}\n" + (f"wants: [s{number - 1:04}]\n" if number else "")
        for number in range(size)
    }


def test_a_reload_computes_the_graph_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(**chain(200))
    world.boot()
    world.advance(10)
    calls: list[int] = []

    def counted(after: Any) -> dict[str, int]:
        calls.append(len(after))
        return find_groups(after)

    monkeypatch.setattr("zinit.life.dependencies.find_groups", counted)
    for name, text in chain(200, " more").items():
        world.files[name] = text + "requires: [s0000]\n" * (name > "s0000")
    assert len(world.reload()["restarted"]) == 200
    world.advance(10)
    assert set(world.states.values()) == {"Running"}
    assert len(calls) <= 3


def test_commands_between_the_steps_of_a_reload_are_kept() -> None:
    world = World(a="exec: run", b="exec: run", c="exec: run", d="exec: run")
    world.boot()
    world.advance(10)
    for name in "abc":
        world.files[name] = "exec: other"
    folder: Any = FakeFolder(world.files)
    steps = reloading.follow(world.manager, folder)
    for _ in range(5):  # all files are read, and one unit has been looked at
        next(steps)
    world.do("stop", "a")
    world.do("stop", "b")
    world.do("forget", "b")
    world.do("monitor", "b")
    for _ in steps:
        world.settle()
    world.advance(10)
    assert world.states["a"].startswith("Error")
    assert world.manager.status("a")["target"] == "Down"
    assert world.labels == ["b", "c", "d"]
    assert [world.manager.find(name).record.service.exec for name in "abcd"] == [
        "other", "other", "other", "run",
    ]  # fmt: skip


def test_jsonrpcs_stop_waits_for_the_end_however_long() -> None:
    """It reported success after 25 seconds, while the process lived."""
    world = World(a="exec: run\nstop_timeout: 300")
    world.system.obeys = False
    world.boot()
    reply = stop(make_api(world), "a")
    assert reply is not None
    world.advance(299)
    assert not reply.is_due(world.system.now())
    world.advance(2)
    assert world.labels == []
    assert reply.is_due(world.system.now())


def test_jsonrpcs_stop_fails_if_the_process_survives_sigkill(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(a="exec: run\nstop_timeout: 1")
    monkeypatch.setattr(world.system, "kill_group", lambda _pid, _number: None)
    world.boot()
    reply = stop(make_api(world), "a")
    assert reply is not None
    world.advance(2)
    assert not reply.is_due(world.system.now())
    world.advance(2)
    with pytest.raises(CommandError, match="not ended even after SIGKILL"):
        reply.is_due(world.system.now())


def test_stats_count_descendants_once(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Processes()
    monkeypatch.setattr(processes, "_children", {1: [2, 3], 3: [4], 4: [1, 3]})
    assert sorted(processes._find_descendants(1)) == [2, 3, 4]
