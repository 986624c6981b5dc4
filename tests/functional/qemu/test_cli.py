"""`zos vm` as a user runs it."""

import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helpers.needs import need_tool
from tests.helpers.vm import sector

pytestmark = pytest.mark.vm
COMMAND = [sys.executable, "-m", "zero_os", "vm", "--acceleration", "tcg", "--memory", "64M"]
DEADLINE_S = 120


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_tool("qemu-system-x86_64")


class Person(NamedTuple):
    """Our end of a terminal, and the command's."""

    ours: int
    theirs: int

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.ours, keys.encode())

    def read(self, text: str) -> None:
        """Wait until the terminal shows `text`; nothing after that is lost."""
        shown = b""
        deadline = time.monotonic() + DEADLINE_S
        while not shown.endswith(text.encode()):
            left_s = max(deadline - time.monotonic(), 0)
            assert select.select([self.ours], [], [], left_s)[0], f"no {text!r} in {shown!r}"
            shown += os.read(self.ours, 1)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


def test_a_machine_that_powers_off_ends_the_command(tmp_path: Path) -> None:
    code = (sector.say("\r\nhello\r\n"), sector.power_off(), sector.SPIN)
    image = sector.write_sector(tmp_path / "disk", *code)
    done = run("--usb", str(image), "--forward", "6379", "--log", str(tmp_path / "log"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("] hello\n")
    assert "leads to port 6379" in done.stderr
    assert (tmp_path / "log" / "console.log").read_text().endswith("] hello\n")


def test_a_time_out_has_its_own_exit_status(tmp_path: Path) -> None:
    image = sector.write_sector(tmp_path / "disk", sector.HALT)
    done = run("--usb", str(image), "--timeout", "1")
    assert done.returncode == 124
    assert "stopped after 1 s" in done.stderr


def test_a_missing_image_is_one_line_on_stderr(tmp_path: Path) -> None:
    done = run("--usb", str(tmp_path / "nope"))
    assert done.returncode == 1
    assert done.stderr == f"zos vm: cannot boot {tmp_path / 'nope'}: no such file or directory\n"


@pytest.mark.parametrize("time", ["0", "-1", "nan"])
def test_an_invalid_time_out_starts_nothing(time: str, tmp_path: Path) -> None:
    image = sector.write_sector(tmp_path / "disk", sector.HALT)
    done = run("--usb", str(image), "--timeout", time)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"zos vm: cannot stop after {time} s\n" in done.stderr


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield the command with a machine that has booted and stays on."""
    image = sector.write_sector(tmp_path / "disk", sector.say("\r\nup\r\n"), sector.HALT)
    process = subprocess.Popen(
        [*COMMAND, "--usb", str(image)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "ZOS_CACHE": str(tmp_path / "cache")},
    )
    watchdog = threading.Timer(DEADLINE_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout
        assert any(line.endswith("] up\n") for line in process.stdout)  # the firmware prints first
        yield process
    finally:
        watchdog.cancel()
        watchdog.join()
        process.kill()
        process.communicate(timeout=DEADLINE_S)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_machine_cleanly(
    running: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    os.killpg(running.pid, number)
    _, talk = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == 130, talk
    assert "stopping" in talk
    assert not list((tmp_path / "cache" / "runs").glob("vm-*"))


def test_a_reader_that_goes_away_ends_the_command(tmp_path: Path) -> None:
    code = sector.say("up\r\n")
    again = bytes([0xEB, 256 - len(code) - 2])
    image = sector.write_sector(tmp_path / "disk", code, again)
    call = shlex.join([*COMMAND, "--usb", str(image)])
    done = subprocess.run(
        ["bash", "-c", f"{call} | head -n 1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.fixture
def person() -> Iterator[Person]:
    """Return a person at a terminal."""
    ours, theirs = pty.openpty()
    try:
        yield Person(ours, theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def test_two_machines_are_used_by_turns(tmp_path: Path, person: Person) -> None:
    image = sector.write_sector(tmp_path / "disk", sector.say("ready>"), sector.echo_forever())
    before = termios.tcgetattr(person.theirs)
    call = [*COMMAND, "--usb", str(image), "--machines", "2", "--interactive"]
    with subprocess.Popen(
        call,
        stdin=person.theirs,
        stdout=person.theirs,
        stderr=person.theirs,
        start_new_session=True,
    ) as process:
        try:
            person.read("another machine")
            person.read("ready>")
            person.type("HAL")
            person.read("IBM")
            person.type("\x03")  # goes to the machine
            person.read("\x04")
            person.type("\x1d2")
            person.read("machine 2")
            person.read("ready>")
            person.type("a\x1d1")
            person.read("IBM\x04")  # what the first machine showed last
            person.type("\x1d7")
            person.read("machine 7 does not run")
            person.type("\x1dq")
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()
    assert termios.tcgetattr(person.theirs) == before


def test_what_cannot_be_started_together_is_refused(tmp_path: Path) -> None:
    image = sector.write_sector(tmp_path / "disk", sector.HALT)
    for words in (("--machines", "0"), ("--machines", "10"), ("--machines", "2", "--forward", "1")):
        done = run("--usb", str(image), *words)
        assert (done.returncode, done.stdout) == (2, "")
