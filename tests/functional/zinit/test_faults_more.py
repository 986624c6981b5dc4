"""The rest of the fault matrix: a storm of orphans, a thousand ends at once, a full /run."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.needs import need_root
from tests.helpers.processes import children_of, process_state
from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, hold
from zinit.client.line import Client, ZinitError

MANY = 1000
BECOME_REAPER = "import ctypes; assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0\n"
# Each round leaves one orphan, which ends once the daemon is its parent; the end of the file that
# `told` reads comes when the last of them is gone.
STORM = """
import os, sys, time
least, stop, reaper = int(sys.argv[1]), sys.argv[2], os.getppid()
end, made = time.monotonic() + 250, 0  # only so that it can't outlive a test that fails
told, tell = os.pipe()
while (made < least or not os.path.exists(stop)) and time.monotonic() < end:
    pid = os.fork()
    if pid == 0:
        middle = os.getpid()
        if os.fork() == 0:
            while os.getppid() == middle:
                os.sched_yield()
            os.write(tell, b"y" if os.getppid() == reaper else b"n")
        os._exit(0)
    assert os.waitpid(pid, 0) == (pid, 0)
    made += 1
    assert os.read(told, 1) == b"y"
print("orphans were left:", made >= least and os.path.exists(stop))
"""


def zombies_of(pid: int) -> list[int]:
    return [child for child in children_of(pid) if process_state(child) == "Z"]


def test_a_storm_of_orphans_fails_nobody(tmp_path: Path) -> None:
    """Ends of processes that zinit never started come between those it waits for."""
    script, stop = tmp_path / "storm", tmp_path / "stop"
    script.write_text(STORM)
    with ZinitDaemon(tmp_path) as zinit:
        # The daemon inherits orphans, as it does when it is PID 1.
        text = zinit.program.read_text()
        zinit.program.write_text(
            text.replace("from zinit.client.cli", BECOME_REAPER + "from zinit.client.cli")
        )
        zinit.write("storm", f"exec: {sys.executable} -IS {script} 300 {stop}\noneshot: true")
        zinit.write("steady", "exec: sleep 1000")
        probed = 'exec: sleep 1000\ntest: "true"\nafter: [steady]\nrestart: {delay: 0, factor: 1}'
        zinit.write("probed", probed)
        zinit.start()
        zinit.wait_for_state("steady", "Running")
        steady = zinit.service_pid("steady")
        for number in range(10):
            zinit.write(f"once{number}", 'exec: "true"\noneshot: true\nafter: [probed]')
            zinit.client.monitor(f"once{number}")
            zinit.wait_for_state(f"once{number}", "Success")
            zinit.wait_for_state("probed", "Running")
            zinit.client.restart("probed")
        assert zinit.state("storm") == "Running"
        stop.touch()
        zinit.wait_for_state("storm", "Success")
        zinit.wait_for_line("[+] storm: orphans were left: True")
        zinit.wait_for_state("probed", "Running")
        states = zinit.client.list()
        assert states.pop("steady") == states.pop("probed") == "Running"
        assert set(states.values()) == {"Success"}, states
        assert zinit.service_pid("steady") == steady
        wait_until(lambda: len(children_of(zinit.pid)) == 2, "only services are left")
        assert zombies_of(zinit.pid) == []
        assert "internal error" not in zinit.said()
        assert zinit.end() == 0


def test_a_thousand_ends_in_one_signal(tmp_path: Path) -> None:
    """All children end while the daemon is stopped: one SIGCHLD stands for all of them."""
    with ZinitDaemon(tmp_path) as zinit:
        text = "exec: sleep 1000\noneshot: true\nlog: none\nrestart: never"
        try:
            for number in range(MANY):
                zinit.write(f"s{number}", text)
            zinit.start()
            wait_until(lambda: len(children_of(zinit.pid)) == MANY, "all are started", 60.0)
            hold(zinit.pid)
            for pid in children_of(zinit.pid):
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len(zombies_of(zinit.pid)) == MANY, "all have ended", 60.0)
        finally:
            os.kill(zinit.pid, signal.SIGCONT)
        wait_until(lambda: set(map(kind_of, zinit.client.list().values())) == {"Error"}, "seen")
        assert children_of(zinit.pid) == []
        assert len(zinit.client.list()) == MANY


def kind_of(state: str) -> str:
    return state.partition("(")[0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a tmpfs of 1 MiB and 40 inodes."""
    need_root()
    disk = tmp_path / "run"
    disk.mkdir()
    options = "size=1m,nr_inodes=40"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill_space(disk: Path) -> None:
    with pytest.raises(OSError) as caught, open(disk / "fill", "wb", buffering=0) as fill:
        while True:
            fill.write(b"x" * 4096)
    assert caught.value.errno == errno.ENOSPC


def fill_inodes(disk: Path) -> None:
    with pytest.raises(OSError) as caught:
        for number in range(100):
            (disk / f"empty{number}").touch()
    assert caught.value.errno == errno.ENOSPC


def create(zinit: ZinitDaemon, name: str) -> bytes:
    """Ask for a new service, whose file the daemon writes."""
    words = {"jsonrpc": "2.0", "id": 1, "method": "service_create"}
    request = {**words, "params": [name, {"exec": "sleep 1000"}]}
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(30)
        door.connect(str(zinit.socket))
        door.sendall(json.dumps(request).encode() + b"\n")
        return door.recv(65536)


def test_a_full_run_is_an_error_and_no_crash(tmp_path: Path, small_disk: Path) -> None:
    """The service folder and the socket are on a file system with neither space nor inodes."""
    with ZinitDaemon(tmp_path) as zinit:
        zinit.etc, zinit.socket = small_disk / "etc", small_disk / "sock"
        zinit.client = Client(str(zinit.socket))
        zinit.etc.mkdir()
        zinit.write("a", "exec: sh -c 'echo up; exec sleep 1000'")
        zinit.start()
        zinit.wait_for_state("a", "Running")
        zinit.wait_for_line("[+] a: up")
        zinit.write("whole", 'exec: "true"\noneshot: true')
        pid = zinit.service_pid("a")

        fill_space(small_disk)
        with pytest.raises(OSError, match="No space left"):
            zinit.write("torn", "exec: sleep 1000")
        fill_inodes(small_disk)
        for name in ("torn", "missing"):
            with pytest.raises(ZinitError):
                zinit.client.monitor(name)
        zinit.client.monitor("whole")
        zinit.wait_for_state("whole", "Success")
        done = zinit.client.reload()
        assert isinstance(done, dict)
        assert list(done.pop("failed")) == ["torn"]
        assert not any(done.values()), done
        assert b'"error"' in create(zinit, "created")
        assert zinit.state("a") == "Running"
        assert "[+] a: up" in zinit.lines()
        assert zinit.service_pid("a") == pid
        assert not (zinit.etc / "created.yaml").exists()

        for path in (small_disk / "fill", *small_disk.glob("empty*")):
            path.unlink()
        zinit.write("torn", "exec: sleep 1000")
        zinit.client.reload()
        zinit.wait_for_state("torn", "Running")
        assert b"successfully" in create(zinit, "created")
        zinit.client.monitor("created")
        zinit.wait_for_state("created", "Running")
        assert zinit.service_pid("a") == pid
        assert "internal error" not in zinit.said()
        assert zinit.end() == 0
