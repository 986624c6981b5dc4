"""What a re-execution carries over apart from the state, and the modules that it needs."""

import importlib
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.zinit.fake_system import World
from zinit.control import late, rescue, trial


def state_of(*units: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a state that the table is made from."""
    control = {"fd": 7, "address": "/run/a b.sock", "token": ""}
    http = {"fd": 8, "address": "127.0.0.1:80", "token": "secret"}
    streams = [{"fd": 9, "number": 2, "label": "a b/test", "service": "a b", "rest": ""}]
    return {
        "server": {"control": control, "http": http},
        "outputs": {"streams": streams},
        "manager": {"units": list(units)},
    }


def test_a_table_says_what_the_next_program_needs() -> None:
    unit = {"record": {"pid": 5, "target_up": True}, "service": {"name": "a b"}}
    state = state_of(unit)
    table = rescue.read_table(rescue.write_table(state, [7, 8, 9, 10]))
    assert table.sockets == state["server"]
    assert table.pipes == [(9, 2, "a b/test")]
    assert table.units == [(5, True, "a b")]
    assert table.others == [10]
    assert not table.is_empty


def test_lines_of_a_table_that_cannot_be_read_are_left_out() -> None:
    table = rescue.read_table(b"unit\nunit x 1 a\nunit 5\ncontrol 3\nnew 1 2 3\n\xff\nunit 0 0 b")
    assert table.units == [(0, False, "b")]
    assert table.sockets == {}


@pytest.mark.parametrize("word", ["", "x", "-1", "9999"])
def test_without_a_table_it_is_empty(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(rescue.VARIABLE, word)
    assert rescue.take_table().is_empty
    assert rescue.VARIABLE not in os.environ


def test_a_listening_socket_is_found_by_its_path(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    assert rescue.find_control(path) is None
    with socket.socket(socket.AF_UNIX) as sock, socket.socket(socket.AF_UNIX) as other:
        sock.bind(path)
        sock.listen()
        assert rescue.find_control(path) == {"fd": sock.fileno(), "address": path, "token": ""}
        other.connect(path)  # not the one that listens
    assert rescue.find_control(path) is None


def test_services_are_managed_again_by_their_pids() -> None:
    world = World(
        a="exec: run\nliveness: {test: t}", down="exec: run", wanted="exec: run", late="exec: run"
    )
    load = world.load
    world.system.running[50] = "a"
    world.manager.take_in(
        [(load("a"), 50, True), (load("down"), 0, False), (load("wanted"), 0, True)]
    )
    world.settle()
    assert world.states == {"a": "Running", "down": "Unknown", "wanted": "Running"}
    assert world.labels == ["a", "a/test", "wanted"]
    world.end("a", 9)
    world.advance(3)
    assert world.state("a") == "Running"


def test_a_unit_that_cannot_be_restored_costs_no_other() -> None:
    old = World(a="exec: run", b="exec: run")
    old.boot()
    state = old.manager.dump()
    state["units"][0]["record"]["restarts"] = 7
    new = World()
    new.system.running = old.system.running
    new.manager.restore(state)
    assert new.states == {"b": "Running"}
    assert new.system.reports[0].startswith("cannot restore a service: TypeError")


def test_the_daemons_modules_are_all_imported() -> None:
    late.import_all()
    names = set(late.find_modules())
    assert {"zinit.control.reexec", "zinit.process.forked", "zinit.log.writer_process"} <= names
    assert names <= set(sys.modules)


def test_a_state_is_checked_without_effects() -> None:
    world = World(a="exec: run")
    world.boot()
    state: dict[str, Any] = {part: {} for part in ("program", "api", "server", "outputs", "system")}
    state.update(manager=world.manager.dump(), ring={"lines": ["x"], "end": 1})
    trial.check_state(state)
    state["manager"]["units"][0]["service"] = {}
    with pytest.raises(KeyError):
        trial.check_state(state)


def test_a_late_module_that_cannot_be_read_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is damaged is reported once."""
    names = ["zinit.control.jobs", "zinit.control.line"]

    def refuse(error: Exception) -> None:
        def import_module(_name: str) -> None:
            raise error

        monkeypatch.setattr(importlib, "import_module", import_module)

    refuse(OSError(24, "Too many open files"))
    with pytest.raises(OSError):
        late.import_one(names)
    assert names == ["zinit.control.jobs", "zinit.control.line"]
    refuse(SyntaxError("invalid syntax"))
    with pytest.raises(SyntaxError):
        late.import_one(names)
    assert names == ["zinit.control.jobs"]
