"""Reports follow one another, whatever happens to them on the way."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.ipc.errors import UnreachableError
from common.nodes.envelope import seal
from common.nodes.nodeid import node_id
from core.report import reporter as reporting
from core.report import schedule as scheduling
from core.report.parameters import Parameters
from core.report.registry import Registry
from core.report.reporter import Reporter, clock_problems
from core.report.sources import Sources, Who, uptime_s
from tests.helpers.core.registry import FakeRegistry, fault, hang_up

BOOT = "11111111-2222-3333-4444-555555555555"


class FakeSources(Sources):
    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes_raw()
        self.digest = "one"
        self.is_gone = self.is_lame = False

    def who(self) -> Who:
        if self.is_gone:
            raise UnreachableError("cannot ask identity")
        return Who(node_id(self.public), "disk")

    def sign(self, payload: Any, timeout_s: float = 0) -> str:
        return seal(self.key.sign, self.public, "report", payload).decode()

    def quote(self, nonce: str) -> Any:
        return {"nonce": nonce}

    def facts(self) -> dict[str, Any]:
        return {"capacity": {"cru": 2}, "digest": self.digest}

    def used(self) -> dict[str, Any]:
        if self.is_lame:
            raise UnreachableError("cannot ask capacity")
        return {"mru": 5}

    def status(self) -> dict[str, Any]:
        return {"run_mode": "dev"}


class Node:
    def __init__(self, registry: FakeRegistry, boot: str = BOOT, sources: Any = None) -> None:
        self.told: list[str] = []
        self.sources = sources or FakeSources()
        parameters = Parameters(registry.url, 7, "token")
        link = Registry(registry.url)
        self.reporter = Reporter(parameters, link, self.sources, self.told.append)
        self.reporter.boot = boot

    def turn(self) -> None:
        """Let time pass until the next report is due, and send it."""
        self.reporter.schedule.due_at = 0.0
        self.reporter.turn()


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


def kinds(registry: FakeRegistry) -> list[tuple[str, int]]:
    return [(report["kind"], report["sequence"]) for report in registry.taken]


def test_a_node_registers_and_then_its_heart_beats(registry: FakeRegistry) -> None:
    node = Node(registry)
    for _ in range(3):
        node.turn()
    assert kinds(registry) == [("register", 1), ("heartbeat", 2), ("heartbeat", 3)]
    first = registry.taken[0]
    assert (first["farm"], first["boot"]) == (7, BOOT)
    assert first["body"]["enrol"] == "token"
    assert first["body"]["quote"] == {"nonce": first["nonce"]}
    assert abs(first["uptime_s"] - uptime_s()) < 60
    assert [call.split()[0] for call in registry.asked] == ["GET", "POST", "POST", "POST"]


def test_a_daemon_that_starts_again_asks_where_it_was(registry: FakeRegistry) -> None:
    node = Node(registry)
    node.turn()
    again = Node(registry, sources=node.sources)
    again.turn()
    assert kinds(registry) == [("register", 1), ("register", 2)]
    other = Node(registry, "99999999-2222-3333-4444-555555555555", node.sources)
    other.turn()
    assert kinds(registry)[-1] == ("register", 1)
    assert registry.refused == []


def test_a_report_whose_answer_is_lost_is_not_sent_twice_as_the_same(
    registry: FakeRegistry,
) -> None:
    node = Node(registry)
    node.turn()

    def take_and_hang_up(request: Any) -> bool:
        registry.sequence, registry.count = registry.sequence + 1, registry.count + 1
        return hang_up(request)

    registry.faults.append(take_and_hang_up)
    node.turn()
    assert "cannot reach" in node.told[-1] and node.reporter.state.problems != []
    node.turn()
    assert kinds(registry)[-1] == ("heartbeat", registry.sequence)
    assert registry.refused == [] and node.reporter.state.problems == []


def test_a_conflict_is_settled_at_once(registry: FakeRegistry) -> None:
    node = Node(registry)
    node.turn()
    registry.count += 1  # somebody else's report came between
    node.turn()
    assert kinds(registry) == [("register", 1), ("register", 2)]
    assert registry.refused == [2]
    assert any("asking what comes next" in line for line in node.told)


def test_a_registry_that_has_lost_its_memory_gets_a_registration(registry: FakeRegistry) -> None:
    node = Node(registry)
    node.turn()
    registry.boot, registry.sequence, registry.count = "", 0, 7
    node.turn()
    node.turn()
    assert kinds(registry) == [("register", 1), ("register", 1), ("heartbeat", 2)]


def test_a_node_that_is_another_one_registers_anew(registry: FakeRegistry) -> None:
    """An ephemeral key is another one once the identity daemon starts again."""
    node = Node(registry)
    node.turn()
    node.sources.key = Ed25519PrivateKey.generate()
    node.sources.public = node.sources.key.public_key().public_bytes_raw()
    registry.boot, registry.sequence = "", 0  # it has never heard of this node
    registry.faults.append(fault(403, {"detail": "not signed by this node's key"}))
    node.turn()
    assert "not signed" in node.told[-1]
    node.turn()
    assert kinds(registry) == [("register", 1), ("register", 1)]
    assert registry.taken[0]["node"] != registry.taken[1]["node"]
    assert node.reporter.to_json()["node"] == registry.taken[1]["node"]


def test_a_conflict_that_stays_is_a_failure(registry: FakeRegistry) -> None:
    node = Node(registry)
    node.turn()
    conflict = fault(409, {"detail": "no"})
    registry.faults += [conflict, lambda _: False, conflict]
    node.turn()
    assert "next try in" in node.told[-1]
    assert node.reporter.state.problems[0]["code"] == "registry"


def test_a_registry_that_is_gone_is_tried_again(registry: FakeRegistry) -> None:
    node = Node(registry)
    registry.faults += [hang_up, hang_up, fault(503, {"detail": "busy"}, Retry_After="100")]
    for _ in range(3):
        node.turn()
    assert node.reporter.schedule.due_at - uptime_s() > 99
    node.turn()
    assert kinds(registry) == [("register", 1)]
    assert node.reporter.to_json()["registered"] is True


def test_an_unknown_farm_is_told_with_its_hint(registry: FakeRegistry) -> None:
    node = Node(registry)
    registry.faults += [lambda _: False, fault(404, {"detail": "no farm 7", "hint": "register it"})]
    node.turn()
    assert "no farm 7 (register it); next try in" in node.told[-1]
    assert "register it" in node.reporter.to_json()["problems"][0]["text"]


def test_without_an_identity_there_is_no_report_yet(registry: FakeRegistry) -> None:
    node = Node(registry)
    node.sources.is_gone = True
    node.turn()
    assert registry.asked == [] and "cannot ask identity" in node.told[-1]
    node.sources.is_gone = False
    node.turn()
    assert kinds(registry) == [("register", 1)]


def test_the_heart_beats_without_the_capacity_daemon(registry: FakeRegistry) -> None:
    node = Node(registry)
    node.turn()
    node.turn()
    node.sources.is_lame = True
    node.turn()
    assert kinds(registry)[-1] == ("heartbeat", 3)
    body = registry.taken[-1]["body"]
    assert body["used"]["mru"] == 5
    assert [item["code"] for item in body["problems"]] == ["capacity"]


def test_changed_facts_are_registered(registry: FakeRegistry) -> None:
    node = Node(registry)
    node.turn()
    node.reporter.notice("one")
    assert not node.reporter.schedule.is_changed
    node.sources.digest = "two"
    node.reporter.notice("two")
    node.turn()
    node.turn()
    assert [kind for kind, _ in kinds(registry)] == ["register", "register", "heartbeat"]


def test_a_clock_that_is_hours_off_is_told_and_the_node_reports(registry: FakeRegistry) -> None:
    node = Node(registry)
    registry.clock = time.time() - 3 * 3600
    node.turn()
    assert "the clock is 3.0 hours ahead of the registry's" in node.told[-1]
    node.turn()
    assert registry.taken[1]["body"]["problems"][0]["code"] == "clock"
    registry.clock = None
    node.turn()
    assert node.reporter.state.problems == []


@pytest.mark.parametrize(
    ("own", "theirs", "told"),
    [
        (10_000.0, 9_500.0, ""),
        (10_000.0, 9_300.0, "12 minutes ahead"),
        (10_000.0, 50_000.0, "11.1 hours behind"),
        (10_000.0, 0.0, ""),
    ],
)
def test_small_differences_of_clocks_are_none(own: float, theirs: float, told: str) -> None:
    problems = clock_problems(own, theirs)
    assert told in problems[0]["text"] if told else problems == []


def test_the_last_word_is_a_shutdown(registry: FakeRegistry) -> None:
    node = Node(registry)
    node.reporter.say_goodbye()
    assert registry.asked == []  # it never registered, so nobody waits for it
    node.turn()
    node.reporter.say_goodbye()
    assert kinds(registry) == [("register", 1), ("shutdown", 2)]
    assert registry.taken[1]["body"] == {}


def test_the_last_word_does_not_wait_for_a_report_in_flight(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "IN_FLIGHT_S", 0.05)
    node = Node(registry)
    node.turn()
    is_over = threading.Event()
    registry.faults.append(lambda _: bool(is_over.wait(60)) and False)
    node.reporter.schedule.due_at = 0.0
    thread = threading.Thread(target=node.reporter.turn)
    thread.start()
    while node.reporter.position is not None:
        time.sleep(0.001)
    node.reporter.say_goodbye()
    is_over.set()
    thread.join(60)
    assert ("shutdown", 2) in kinds(registry)


def test_a_registry_that_is_gone_does_not_hold_up_the_end(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "LAST_WORD_S", 1.2)
    node = Node(registry)
    node.turn()
    is_over = threading.Event()
    registry.faults.append(lambda _: bool(is_over.wait(60)) and False)
    begun = time.monotonic()
    node.reporter.say_goodbye()
    is_over.set()
    assert time.monotonic() - begun < 30
    assert "the node ends all the same" in node.told[-1]


def test_it_reports_by_itself(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "CHANGES_APART_S", 0)
    node = Node(registry)
    threading.Thread(target=node.reporter.run, daemon=True).start()
    registry.wait(1)
    node.sources.digest = "two"
    node.reporter.notice("two")
    assert [report["kind"] for report in registry.wait(2)] == ["register", "register"]
