"""When a node closes its kernel, and what it says when a part of it is up."""

import pytest

from common.releases.flists import ReleaseFlist
from common.releases.manifest import Manifest
from node import bringup
from node.bringup import Node
from node.flists.giving import Search
from node.flists.model import CORE, FIRMWARE, WORKLOAD, Flist, Wanted
from node.flists.part import Part
from node.model import BootParameters
from node.problems import Problems
from node.report import MachineNames, Reporter
from node.status import Status
from zinit.client.line import Client

PARAMETERS = BootParameters("dev", 7, ("http://hub",))


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that grows when the kernel is closed."""
    times: list[bool] = []
    monkeypatch.setattr(bringup, "close_modules", lambda: times.append(True))
    monkeypatch.setattr(bringup, "notify_ready", lambda: None)
    return times


@pytest.fixture
def node() -> Node:
    """Return a node that waits for its flists."""
    reporter = Reporter(PARAMETERS, MachineNames("", "", ""), "1.0")
    problems = Problems()
    search = Search(problems)
    search.is_over.set()  # no disk was found
    made = Node(Client(), PARAMETERS, reporter, Status(PARAMETERS, problems, []), search)
    made.status.parts = [
        Part(made.client, Wanted(role, role), made.preparer, made.trying(role), made.told)
        for role in (FIRMWARE, CORE, WORKLOAD)
    ]
    return made


def test_the_kernel_is_closed_when_all_parts_are_up(node: Node, closed: list[bool]) -> None:
    for part in node.status.parts:
        node.look()
        assert closed == []
        part.is_settled = True
    node.look()
    assert closed == [True]


def test_a_part_that_never_gets_ready_does_not_keep_the_kernel_open(
    node: Node, closed: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bringup, "CLOSE_AFTER_S", -1.0)
    node.look()
    assert closed == []
    node.told(node.status.parts[2], "mounted")
    node.look()
    assert closed == [True]


def test_the_node_is_ready_when_its_workload_is(
    node: Node, closed: list[bool], capsys: pytest.CaptureFixture[str]
) -> None:
    _, core, workload = node.status.parts
    core.names, workload.names = ["core-api"], ["web", "redis"]
    node.told(workload, "mounted")
    assert node.status.stage == "flist"
    node.told(workload, "ready")
    node.told(core, "ready")
    assert node.status.stage == "ready"
    assert capsys.readouterr().out.splitlines() == [
        "bringup: node ready: farm 7, services redis, web",
        "bringup: core ready: services core-api",
    ]
    assert [node.status.role_of(name) for name in ("core-api", "redis", "network")] == [
        "core",
        "workload",
        "node",
    ]


def test_a_flist_that_cant_be_had_is_asked_for_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channel may have moved on, and hubs may have forgotten what it named."""
    row = ReleaseFlist(CORE, "tf-zos/newer-core", "ab" * 32, 7)
    manifest = Manifest("2.0.set", None, None, {}, flists=(row,))
    monkeypatch.setattr(bringup, "admit_release", lambda *_, **__: (None, manifest))
    firmware, core, workload = node.status.parts
    firmware.is_settled = True  # no hub has it
    workload.flist = Flist(WORKLOAD, "tf-zos/older", "cd" * 32)
    node.renew()
    assert core.wanted == Wanted(CORE, "core")
    node.renew_at = 0.0
    node.renew()
    assert core.wanted == Wanted(CORE, "tf-zos/newer-core", "ab" * 32, 7, "2.0.set")
    assert workload.wanted == Wanted(WORKLOAD, "workload")
    assert firmware.wanted == Wanted(FIRMWARE, "firmware")
    core.wanted = Wanted(CORE, "core")
    node.renew()
    assert core.wanted == Wanted(CORE, "core")


def test_a_part_goes_on_with_an_adopted_flist(node: Node) -> None:
    part = node.status.parts[0]
    old, new = (Flist(FIRMWARE, "firmware", digit * 64, size=5) for digit in "ab")
    assert part.adopt(old, []) is None
    assert part.follow(old)
    assert part.adopt(new, []) == old
    assert not part.follow(old)
    assert part.wanted == Wanted(FIRMWARE, "firmware", "b" * 64, 5)
