"""A daemon's life: ready, answering, ended by SIGTERM in time."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.ipc.client import call
from core.sandbox.confine import UNCONFINED
from tests.helpers.checkout import TOP

PROGRAM = """
import sys
from pathlib import Path
from common.ipc.server import Method
from core import daemon
from core.places import CAPACITY
from core.sandbox.profile import Profile

daemon.socket_of = lambda name: Path(sys.argv[1]) / "socket"
LOOPS = {
    "idle": daemon.wait_for_end,
    "turns": lambda stop: [None for _ in iter(lambda: stop.wait(0.01), True)],
    "busy": lambda stop: __import__("time").sleep(1000),
}
methods = {"greet": Method(lambda peer: "hello")}
daemon.run_daemon(
    Profile("capacity", CAPACITY),
    lambda: daemon.Work(methods, LOOPS[sys.argv[2]], stop_within_s=0.5),
)
"""


class Running:
    def __init__(self, place: Path, loop: str) -> None:
        self.place = place
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.settimeout(60)
        self.manager.bind(str(place / "notify"))
        env = os.environ | {UNCONFINED: "1", "NOTIFY_SOCKET": str(place / "notify")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(place), loop],
            cwd=TOP,
            env=env,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> tuple[int, float]:
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        return status, time.monotonic() - begun


@pytest.fixture(params=["idle", "turns", "busy"])
def running(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Running]:
    running = Running(tmp_path, request.param)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()
        running.manager.close()


def test_it_is_ready_answers_and_ends_in_time(running: Running) -> None:
    assert running.manager.recv(100).startswith(b"READY=1")
    assert call(running.place / "socket", "greet") == "hello"
    status, seconds = running.end()
    assert status == 0
    assert seconds < 10  # 0.5 s, on a machine that is as loaded as can be


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    env = os.environ | {UNCONFINED: "1"}
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "missing"), "idle"],
        cwd=TOP,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert "cannot listen on" in told.stderr
