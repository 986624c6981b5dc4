"""The power button: found by its only key, and a signal when it is pressed."""

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from zinit.buttons import find_power_buttons, watch_power_buttons

POWER = "10000000000000 0\n"
POWER_AND_WAKE_UP = "8000 10000000000000 0\n"
SLEEP = "4000 0 0\n"
KEYBOARD = "10000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe\n"


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Return a folder as /sys/class/input: power buttons, a keyboard, a lid, and others."""
    keys = {"event0": POWER, "event1": KEYBOARD, "event2": "0\n", "mouse0": POWER, "event3": ""}
    keys |= {"event5": POWER_AND_WAKE_UP, "event6": SLEEP}
    for name, text in keys.items():
        folder = tmp_path / "inputs" / name / "device" / "capabilities"
        folder.mkdir(parents=True)
        (folder / "key").write_text(text)
    (tmp_path / "inputs/event4").mkdir()
    return tmp_path / "inputs"


@pytest.fixture
def wake() -> Iterator[int]:
    """Return a descriptor from which the numbers of received signals can be read."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    old = signal.signal(signal.SIGPWR, lambda *_: None)
    before = signal.set_wakeup_fd(theirs)
    yield ours
    signal.set_wakeup_fd(before)
    signal.signal(signal.SIGPWR, old)
    os.close(ours)
    os.close(theirs)


def test_a_power_button_is_a_device_with_no_other_use(inputs: Path) -> None:
    assert find_power_buttons(str(inputs)) == ["event0", "event5"]
    assert find_power_buttons("/nowhere") == []


def test_pressing_it_is_a_signal(inputs: Path, tmp_path: Path, wake: int) -> None:
    os.mkfifo(tmp_path / "event0")
    os.mkfifo(tmp_path / "event5")
    said: list[str] = []
    found = watch_power_buttons(signal.SIGPWR, said.append, str(inputs), str(tmp_path))
    assert (len(found), said) == (2, [])
    assert not any(os.get_inheritable(fd) for fd in found)
    with open(tmp_path / "event0", "wb") as device:
        device.write(b"pressed")
    assert select.select([wake], [], [], 30)[0]
    assert os.read(wake, 1) == bytes([signal.SIGPWR])
    for fd in found:
        os.close(fd)


def test_a_device_that_is_gone_is_reported(inputs: Path, tmp_path: Path) -> None:
    said: list[str] = []
    assert watch_power_buttons(signal.SIGPWR, said.append, str(inputs), str(tmp_path)) == []
    assert len(said) == 2 and said[0].startswith("cannot watch the power button event0")
