"""The state that a re-execution carries over: each part's own, and the format before."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from zinit.control import reexec
from zinit.control.reexec_format1 import upgrade
from zinit.files.service import Service
from zinit.log.outputs import STDERR, Outputs
from zinit.log.ring import Ring
from zinit.loop import Loop
from zinit.process.readiness import ReadyPipe
from zinit.process.system import RealSystem

RECORDED = json.loads((Path(__file__).parent / "reexec-format1.json").read_text())


def test_format_1_is_upgraded() -> None:
    state = upgrade(RECORDED, "/run/zinit.sock")
    assert state["format"] == reexec.FORMAT
    assert state["program"] == {"reexecs": []}
    assert state["ring"]["end"] == len(state["ring"]["lines"]) == 7
    assert state["api"] == {"started": 1273.793035218, "loaded": 1273.799140702}
    assert state["manager"] == RECORDED["manager"]
    assert state["server"] == {
        "control": {"fd": 9, "address": "/run/zinit.sock", "token": ""},
        "http": {"fd": 21, "address": "unix:/run/test/http", "token": "00ff" * 12},
    }
    streams = {(one["label"], one["number"]): one for one in state["outputs"]["streams"]}
    assert len(streams) == 8
    expected = {"fd": 30, "number": 1, "label": "plain", "service": "plain", "rest": "half"}
    assert streams["plain", 1] == expected
    assert state["outputs"]["writers"] == [
        {"folder": "/run/test/logs", "fd": 15, "pid": 6530, "queue": [], "dropped": 0}
    ]
    assert state["system"] == {
        "file_limits": None,
        "channels": [{"pid": 6528, "kind": "notify", "fd": 29, "uid": 0}],
    }


def test_earlier_versions_of_format_1_are_upgraded() -> None:
    """They had no address of the HTTP socket, no count of dropped lines and no time of loading."""
    old = {**RECORDED, "http": [[21, "token"]], "writers": [["/logs", 15, 1, ["packet"]]]}
    old["doors"] = []
    del old["loaded"]
    state = upgrade(old, "/run/zinit.sock")
    assert state["server"] == {
        "control": None, "http": {"fd": 21, "address": "", "token": "token"}
    }  # fmt: skip
    assert state["outputs"]["writers"][0]["dropped"] == 0
    assert state["api"]["loaded"] == 0.0


def leave_state(state: object, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = os.memfd_create("state")
    os.write(memory, json.dumps(state).encode())
    monkeypatch.setenv(reexec.VARIABLE, str(memory))


def test_only_known_formats_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_state(RECORDED, monkeypatch)
    state = reexec.take_state("/run/zinit.sock")
    assert state == upgrade(RECORDED, "/run/zinit.sock")
    assert reexec.take_state("/run/zinit.sock") is None, "a state is taken once"
    leave_state(state, monkeypatch)
    assert reexec.take_state("") == state
    others: list[object] = [{"format": 3}, [], "text"]
    for other in others:
        leave_state(other, monkeypatch)
        assert reexec.take_state("") is None


def test_a_ring_goes_on_with_its_lines_and_numbers() -> None:
    ring = Ring(3)
    for number in range(5):
        ring.append(b"\xff%d" % number)
    restored = Ring(3)
    restored.restore(json.loads(json.dumps(ring.dump())))
    assert restored.lines() == ring.lines()
    assert (restored.start, restored.end) == (2, 5)
    smaller = Ring(1)
    smaller.restore(ring.dump())
    assert smaller.read(0, 10) == ([b"\xff4"], 5, 4)


class Parts:
    """Outputs and a system on a loop of their own."""

    def __init__(self, loop: Loop) -> None:
        self.ring = Ring()
        self.reports: list[str] = []
        self.outputs = Outputs(loop, self.ring, lambda data: None, self.reports.append)
        self.system = RealSystem(self.outputs, loop, self.reports.append, lambda error: None)


def hand_over_copy(fd: int) -> int:
    """Stand in for exec: the next program has descriptors of its own."""
    return os.dup(fd)


def restore_as_json(state: "dict[str, object]") -> Any:
    return json.loads(json.dumps(state))


def test_pipes_go_on_in_the_middle_of_a_line() -> None:
    loop = Loop(lambda: 0.0, lambda error: None)
    old, new = Parts(loop), Parts(loop)
    reader, writer = os.pipe()
    old.outputs.attach(reader, STDERR, "a/test", "a", None)
    os.write(writer, b"begun, ")
    old.outputs.flush()
    state = restore_as_json(old.outputs.dump(hand_over_copy))
    new.outputs.restore(state, {"a": Service("a", "run")}.get)
    os.write(writer, b"and done\n")
    new.outputs.flush()
    assert new.ring.lines() == [b"[-] a/test: begun, and done"]
    assert new.reports == []
    loop.close()


def test_one_pipe_that_cannot_be_restored_costs_no_other() -> None:
    loop = Loop(lambda: 0.0, lambda error: None)
    old, new = Parts(loop), Parts(loop)
    reader, writer = os.pipe()
    old.outputs.attach(reader, STDERR, "a", "a", None)
    state = restore_as_json(old.outputs.dump(hand_over_copy))
    state["streams"].insert(0, {**state["streams"][0], "fd": 1 << 20})
    new.outputs.restore(state, lambda name: None)
    os.write(writer, b"line\n")
    new.outputs.flush()
    assert new.ring.lines() == [b"[-] a: line"]
    assert len(new.reports) == 1
    assert new.reports[0].startswith("cannot restore a service's output: ")
    loop.close()


def test_a_readiness_pipe_that_was_closed_is_not_handed_over() -> None:
    """It was, as descriptor -1, which every re-execution reported as an error."""
    loop = Loop(lambda: 0.0, lambda error: None)
    old = Parts(loop)
    channels = {}
    for pid in (1, 2):
        reader, _ = os.pipe()
        channels[pid] = ReadyPipe(reader)
        channels[pid].open(loop, "a", pid, lambda *told: None)
    old.system._channels = dict(channels)
    channels[1].close(loop)
    state = restore_as_json(old.system.dump(lambda fd: fd))
    assert state["channels"] == [{"pid": 2, "kind": "fd", "fd": channels[2].fd}]
    assert state["file_limits"] is None
    loop.close()


def test_a_readiness_channel_goes_on_if_its_process_is_known() -> None:
    loop = Loop(lambda: 0.0, lambda error: None)
    new = Parts(loop)
    seen: list[tuple[str, int, list[bytes]]] = []
    new.system.on_notify = lambda *told: seen.append(told)
    known, unknown = os.pipe(), os.pipe()
    state = {
        "file_limits": [1024, 4096],
        "channels": [
            {"pid": 7, "kind": "fd", "fd": known[0]},
            {"pid": 8, "kind": "fd", "fd": unknown[0]},
        ],
    }
    new.system.restore(state, {7: "a"})
    os.write(known[1], b"\n")
    loop._wait(1.0)
    assert seen == [("a", 7, [b"READY=1"])]
    with pytest.raises(BrokenPipeError):
        os.write(unknown[1], b"\n")
    assert new.system.dump(lambda fd: fd)["file_limits"] == (1024, 4096)
    assert new.reports == []
    loop.close()
