"""`zos boot` as a user runs it: from a farm's USB image to an answering workload."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.helpers.processes import children_of, is_alive
from tests.helpers.waiting import wait_until
from zero_os.boot.redis import ping
from zero_os.boot.timeline import STAGES

pytestmark = pytest.mark.vm
NODE_S = 1500  # with eight times more work than processors it took 400 s
DEADLINE_S = 1800
STOP_S = 120
COMMAND = [sys.executable, "-m", "zero_os", "boot", "--timeout", str(NODE_S)]


@pytest.mark.timeout(DEADLINE_S + 60)
@pytest.mark.parametrize(("firmware", "farm"), [("bios", 1), ("uefi", 4711)])
def test_a_farms_usb_stick_boots_a_node(firmware: str, farm: int) -> None:
    call = [*COMMAND, "--exit", "--json", "--firmware", firmware, "--farm", str(farm)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    report = json.loads(line)
    assert (report["firmware"], report["farm"]) == (firmware, farm)
    assert report["workload"]["answer"] == "PONG"
    # Blocks are fetched lazily: a node reads a small part of its root file system.
    assert 0 < report["fetched_bytes"] < report["flist_bytes"] / 4
    assert report["kernel_bytes"] > 10_000_000
    assert list(report["timeline"]) == list(STAGES)
    assert list(report["timeline"].values()) == sorted(report["timeline"].values())


@pytest.mark.timeout(DEADLINE_S + 60)
def test_it_runs_until_it_is_interrupted() -> None:
    """Without --exit the node stays reachable; SIGINT stops all processes."""
    process = subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stderr is not None
        said = []
        port = 0
        for line in process.stderr:
            said.append(line)
            if "redis-cli -p " in line:
                port = int(line.partition("redis-cli -p ")[2].split()[0])
            if "Ctrl-C stops everything" in line:
                break
        assert port, "".join(said)
        assert wait_until(lambda: ping("127.0.0.1", port), "its Redis answers") == "PONG"
        machines = children_of(process.pid)
        assert machines
        os.killpg(process.pid, signal.SIGINT)
        out, rest = process.communicate(timeout=STOP_S)
        assert process.returncode == 130, rest
        assert "redis PING: PONG" in out
        wait_until(lambda: not any(is_alive(pid) for pid in machines), "its processes end")
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=STOP_S)
