"""What the daemon asks bring-up to do."""

from pathlib import Path
from typing import Any

import pytest

from core.update import daemon
from core.update.daemon import Follower
from core.update.parameters import Parameters
from core.update.policy import DAY_S, Rules, Window

MIDNIGHT = 20_000 * DAY_S
NIGHT = Window(23 * 3600, 1 * 3600)


@pytest.mark.parametrize(
    ("is_always", "kexec", "params"),
    [
        (False, {"kexec": "the kernel can't"}, {"once": True}),
        (False, {"kexec": ""}, {"once": True, "kexec": True}),
        (True, {}, {}),  # an older bring-up
    ],
)
def test_a_reboot_is_asked_for_once_or_always(
    is_always: bool, kexec: dict[str, str], params: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def call(_: Path, method: str, *_limit: float, **params: Any) -> dict[str, Any]:
        asked.append((method, params))
        held = {"release": "2", "turn": 0, "flists": [{}]}
        running = {"running": "2", "bad": "", "reason": "", "state": "idle"}
        return {
            "held": held,
            "running": running,
            "kernel_changes": True,
            "reboot": "possible",
        } | kexec

    monkeypatch.setattr(daemon, "call", call)
    monkeypatch.setattr(daemon, "uptime_s", lambda: DAY_S)
    Follower(Parameters(rules=Rules(NIGHT, is_always))).look(MIDNIGHT)
    assert asked == [("update.look", {}), ("power.reboot", params)]
