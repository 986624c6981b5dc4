"""When a node takes a release, and when it reboots."""

from typing import Any

import pytest

from core.update.parameters import Parameters, parse_parameters
from core.update.policy import DAY_S, Rules, What, Window, decide, next_look, phase_of

NIGHT = Window(23 * 3600, 1 * 3600)
NOON, MIDNIGHT = 20_000 * DAY_S + 12 * 3600, 20_001 * DAY_S


def look(running: str = "1", turn: float = 0, bad: str = "", **more: Any) -> dict[str, Any]:
    """Return an answer to `update.look`: the channel holds release 2."""
    state = more.pop("state", "idle")
    held = {"release": "2", "turn": turn, "flists": [{}], **more}
    now = {"running": running, "bad": bad, "reason": "it hangs", "state": state}
    return {"held": held, "running": now, "kernel_changes": False}


@pytest.mark.parametrize(
    ("answer", "window", "now", "what", "until"),
    [
        (look("2"), None, NOON, What.NOTHING, 0),
        (look(release="", flists=[]), None, NOON, What.NOTHING, 0),
        (look(), None, NOON, What.APPLY, 0),
        (look(bad="2"), None, NOON, What.STAY, 0),
        (look(bad="0"), None, NOON, What.APPLY, 0),
        (look(state="watching"), None, NOON, What.WAIT, NOON),
        (look(turn=NOON + 60), None, NOON, What.WAIT, NOON + 60),
        (look(turn=NOON), None, NOON, What.APPLY, 0),
        (look(), NIGHT, NOON, What.WAIT, MIDNIGHT - 3600),
        (look(), NIGHT, MIDNIGHT, What.APPLY, 0),
    ],
)
def test_when_a_release_is_taken(
    answer: dict[str, Any], window: Window | None, now: float, what: What, until: float
) -> None:
    decision = decide(answer, Rules(window), now, DAY_S)
    assert (decision.what, decision.until) == (what, until)


@pytest.mark.parametrize(
    ("window", "now", "uptime_s", "what"),
    [
        (None, NOON, DAY_S, What.REPORT),
        (NIGHT, NOON, DAY_S, What.WAIT),
        (NIGHT, MIDNIGHT, DAY_S, What.REBOOT),
        (NIGHT, MIDNIGHT, 3600, What.WAIT),  # it has just rebooted
    ],
)
def test_another_kernel_needs_a_reboot_which_needs_a_window(
    window: Window | None, now: float, uptime_s: float, what: What
) -> None:
    answer = look("2") | {"kernel_changes": True, "reboot": "possible"}
    assert decide(answer, Rules(window), now, uptime_s).what == what


@pytest.mark.parametrize(
    ("reboot", "why"),
    [
        ({"reboot": "tried"}, "the last one did not bring it"),
        ({"reboot": "unknown"}, "without a cache on a disk"),
        ({}, "without a cache on a disk"),  # an older bring-up
    ],
)
def test_a_node_does_not_reboot_again_and_again_for_a_kernel(
    reboot: dict[str, Any], why: str
) -> None:
    answer = look("2") | {"kernel_changes": True} | reboot
    decision = decide(answer, Rules(NIGHT), MIDNIGHT, DAY_S)
    assert decision.what == What.REPORT and why in decision.why
    assert decide(answer, Rules(NIGHT, is_always=True), MIDNIGHT, DAY_S).what == What.REBOOT


def test_nodes_look_at_times_of_their_own() -> None:
    phases = [phase_of(f"node{number}", 600) for number in range(1000)]
    assert 0 <= min(phases) < max(phases) < 600
    assert 80 < sum(phase < 60 for phase in phases) < 120  # a tenth of them in a tenth of the time
    for now in (0.0, 599.0, NOON):
        after = next_look("node1", 600, now)
        assert now < after <= now + 600
        assert (after - phase_of("node1", 600)) % 600 == pytest.approx(0, abs=1e-3)


def test_words_of_the_command_line() -> None:
    said: list[str] = []
    words = "a update.window=23:00-01:00 update.interval=60 update.reboot=always"
    assert parse_parameters(words, said.append) == Parameters(60, Rules(NIGHT, is_always=True))
    assert parse_parameters("update.reboot=once", said.append) == Parameters()
    assert said == []


@pytest.mark.parametrize(
    "word",
    [
        "update.window=24:00-01:00",
        "update.window=2-3",
        "update.window=02:00-02:00",
        "update.interval=9",
        "update.interval=" + "9" * 5000,
        "update.interval=-60",
        "update.reboot=yes",
    ],
)
def test_a_wrong_word_is_told_and_left_out(word: str) -> None:
    said: list[str] = []
    found = parse_parameters(word, said.append)
    assert found == Parameters()
    assert said[0].startswith(f"cannot use {word[:40]}")
