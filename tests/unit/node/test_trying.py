"""What a node says about what keeps it from booting: on the screen, and to the server."""

from itertools import repeat
from typing import TYPE_CHECKING

import pytest

from common.releases.layout import StoreError
from common.releases.manifest import UnfitError
from common.tuf.errors import ExpiredError
from node import trying
from node.model import BootParameters, NodeError
from node.problems import Problems
from node.report import MachineNames, Reporter
from node.trying import Trying, code_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PARAMETERS = BootParameters("dev", 1, ("http://hub",), bootstrap="http://boot")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, object]]]:
    """Return the reports that are sent; there are no pauses."""
    monkeypatch.setattr(trying, "backoff_delays", lambda: repeat(0.0))
    return []


def test_a_reason_is_told_once_and_logged_each_time(
    sent: list[tuple[str, dict[str, object]]], capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = Reporter(
        PARAMETERS, MachineNames("", "", ""), "1.0", lambda *report: sent.append(report)
    )
    down = NodeError("cannot fetch it: the hub does not answer", code="ZB42")
    refused = NodeError("flist x refused", code="ZB43", hint="ask the hub's operator")
    faults: Iterator[Exception | None] = iter([down, down, refused, OSError("no space"), None])

    def step() -> str:
        fault = next(faults)
        if fault:
            raise fault
        return "done"

    assert Trying(reporter, Problems()).until_done(step) == "done"
    reporter.waiting.join()
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.startswith("Zero-OS:")] == [
        "Zero-OS: cannot boot (ZB42): the hub could not be reached",
        "Zero-OS: cannot boot (ZB43): the signature of the node's file system is missing or wrong",
    ]
    assert said.count("bringup: hint: ask the hub's operator") == 1
    again = "bringup: cannot fetch it: the hub does not answer; trying again in 0.0 s"
    assert said.count(again) == 2
    failures = [(fields.get("code"), fields["detail"]) for _, fields in sent]
    assert failures == [
        ("ZB42", "cannot fetch it: the hub does not answer"),
        ("ZB43", "flist x refused"),
        (None, "no space"),
    ]


def test_every_code_that_a_node_gives_is_explained() -> None:
    assert code_of(ExpiredError("it has expired")) == "ZB44"
    assert code_of(UnfitError("it is a debug release")) == "ZB41"
    assert code_of(StoreError("cannot use the manifest")) == "ZB41"
    assert code_of(OSError()) == ""
