"""Every console shows what zinit says, and none that nobody reads delays the others."""

import os
import pty
import select
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from zinit.log.consoles import Consoles, other_consoles

LINES = 4000


class Terminal:
    """A terminal as a console, and its other end."""

    def __init__(self, path: Path) -> None:
        self.ours, self.theirs = pty.openpty()
        path.symlink_to(os.ttyname(self.theirs))

    def read(self) -> bytes:
        """Return what is there."""
        text = b""
        while select.select([self.ours], [], [], 0)[0]:
            text += os.read(self.ours, 65536)
        return text


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[dict[str, Terminal]]:
    """Return terminals by the names of consoles, in the folder `tmp_path`."""
    found = {name: Terminal(tmp_path / name) for name in ("console", "ttyS0", "hvc0", "tty0")}
    yield found
    for terminal in found.values():
        os.close(terminal.ours)
        os.close(terminal.theirs)


def find(folder: Path, active: str) -> Consoles:
    """Return the consoles of a machine with these active ones."""
    (folder / "active").write_text(active)
    consoles = Consoles(str(folder / "console"))
    consoles.find(str(folder / "active"), str(folder))
    return consoles


@pytest.mark.parametrize(
    ("active", "others"),
    [
        ("tty0 ttyS0", ["tty0"]),
        ("ttyS0 tty0", ["ttyS0"]),
        ("ttyS0", ["tty0"]),
        ("hvc0 ttyS0", ["hvc0", "tty0"]),
        ("tty0", []),
        ("", []),
    ],
)
def test_all_active_consoles_and_a_screen_in_any_case(active: str, others: list[str]) -> None:
    assert other_consoles(active.split()) == others


def test_a_line_is_on_every_console(tmp_path: Path, devices: dict[str, Terminal]) -> None:
    consoles = find(tmp_path, "hvc0 ttyUSB7 ttyS0\n")  # ttyS0 is /dev/console, ttyUSB7 is gone
    consoles.say("hello")
    for name in ("console", "hvc0", "tty0"):
        assert devices[name].read() == b"zinit: hello\r\n", name
    assert devices["ttyS0"].read() == b""


@pytest.mark.parametrize("dead", ["console", "hvc0", "tty0"])
def test_a_console_that_nobody_reads_delays_no_other(
    tmp_path: Path, devices: dict[str, Terminal], dead: str
) -> None:
    consoles = find(tmp_path, "hvc0 ttyS0\n")
    seen = dict.fromkeys(("console", "hvc0", "tty0"), b"")
    begin = time.monotonic()
    for number in range(LINES):
        consoles.say(f"line {number}")
        for name in seen:
            if name != dead:
                seen[name] += devices[name].read()
    assert time.monotonic() - begin < 30
    for name, text in seen.items():
        assert text.count(b"\r\n") == (0 if name == dead else LINES), name


def test_without_sysfs_there_is_only_the_console(
    tmp_path: Path, devices: dict[str, Terminal]
) -> None:
    consoles = Consoles(str(tmp_path / "console"))
    consoles.find("/nowhere/active", str(tmp_path))
    consoles.say("hello")
    assert devices["console"].read() == b"zinit: hello\r\n"
    assert devices["tty0"].read() == b""
