"""`zos vm` as a user runs it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.needs import need_tool
from tests.helpers.vm import sector

pytestmark = pytest.mark.vm
COMMAND = [sys.executable, "-m", "zero_os", "vm", "--acceleration", "tcg", "--memory", "64M"]
DEADLINE_S = 120


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_tool("qemu-system-x86_64")


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
