"""Pids that run out, and pids of services that other processes get, caused by real limits."""

import functools
import itertools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.needs import lack
from tests.helpers.waiting import DEADLINE_S, wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, remove_folder
from zinit.client.line import ZinitError

GROUPS = ("/sys/fs/cgroup/pids", "/sys/fs/cgroup")  # version 1 and version 2
PID_MAX = 420  # per namespace since Linux 6.14; the minimum is 301
IN_NAMESPACE = f'echo {PID_MAX} > /proc/sys/kernel/pid_max && exec "$@"'
# Short-lived leaders of process groups, as services are. One that gets the pid of a former service
# must never receive a signal: its exit status would show it.
STRANGERS = """
import os, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
alive = set()
with open(sys.argv[1], "w", buffering=1) as out:
    while True:
        while len(alive) < 100:
            pid = os.fork()
            if pid == 0:
                os.setsid()
                time.sleep(0.1)
                os._exit(1 if signal.sigpending() else 0)
            alive.add(pid)
        pid, status = os.waitpid(-1, 0)
        alive.discard(pid)
        out.write(f"{pid} {status}\\n")
"""

pytestmark = pytest.mark.usefixtures("as_root")


@pytest.fixture
def pids_group() -> Iterator[Path]:
    """Make a control group that can limit the number of its processes."""
    for top in GROUPS:
        group = Path(top) / f"zinit-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / "pids.max").exists():
                yield group
                return
        finally:
            wait_until(functools.partial(remove_folder, group), "the group is empty")
    lack("there is no pids controller")


@pytest.mark.parametrize("more", ["", "no_new_privileges: true"], ids=["plain", "apart"])
def test_starts_in_a_full_control_group_are_retried(
    tmp_path: Path, pids_group: Path, more: str
) -> None:
    """posix_spawn and fork get EAGAIN from the kernel and are retried until there is room."""
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("well", "exec: sleep 1000")
        zinit.write("filler", "exec: sleep 1000")
        zinit.write("late", f"exec: sleep 1000\nafter: [well, filler]\n{more}")
        (pids_group / "pids.max").write_text("3")  # zinit and two services
        enter = f'echo $$ > {pids_group}/cgroup.procs && exec "$@"'
        zinit.start(prefix=("sh", "-c", enter, "sh"))
        zinit.wait_for_state("late", "Failure")
        pid = zinit.service_pid("well")
        wait_until(lambda: zinit.said().count("late: cannot start:") > 1, "it is retried")
        assert "Resource temporarily unavailable" in zinit.said()
        assert zinit.state("well") == zinit.state("filler") == "Running"
        zinit.client.stop("filler")
        zinit.wait_for_state("late", "Running")
        assert zinit.service_pid("well") == pid
        assert "internal error" not in zinit.said()


def in_namespace() -> tuple[str, ...]:
    """Return a prefix that runs a command in a namespace with few pids."""
    release = tuple(int(word) for word in os.uname().release.split(".")[:2])
    if release < (6, 14):
        lack("before Linux 6.14 all namespaces share one pid_max")
    words = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    return (*words, "sh", "-c", IN_NAMESPACE, "sh")


def test_no_other_process_is_signalled_when_pids_are_reused(tmp_path: Path) -> None:
    """Services end, are stopped, killed, restarted and handed over while pids wrap around."""
    prefix = in_namespace()
    script, seen = tmp_path / "strangers.py", tmp_path / "seen"
    script.write_text(STRANGERS)
    ours: set[int] = set()
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("strangers", f"exec: {sys.executable} -IS {script} {seen}\nstop_timeout: 0.1")
        zinit.write("churn", "exec: sleep 0.02\nrestart: {delay: 0.01, factor: 1}")
        zinit.write("ended", 'exec: "true"\nrestart: never')
        zinit.write(
            "deaf", "exec: sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'\nstop_timeout: 0.05"
        )
        zinit.write("group", "exec: sh -c 'sleep 1000 & exec sleep 1000'\nrestart: {delay: 0.01}")
        zinit.start(prefix=prefix)
        wait_until(
            lambda: seen.exists() and len(strangers(seen)) > 50, "other processes come and go"
        )
        end = time.monotonic() + 5.0
        for turn in itertools.count(1):
            ours |= {zinit.service_pid(name) for name in ("churn", "deaf", "group")}
            for name in ("ended", "churn", "group"):
                signal_if_up(zinit, name, "SIGUSR1" if name == "ended" else "SIGKILL")
            zinit.client.stop("ended")
            zinit.client.stop("deaf")
            zinit.client.start("deaf")
            if turn % 20 == 0:
                assert zinit.cli("reexec").returncode == 0
                numbers = {pid for pid, _ in strangers(seen)}
                if time.monotonic() > end and len(ours & numbers) > 3:
                    break  # pids of services were reused
        assert [pair for pair in strangers(seen) if pair[1]] == []
        assert "re-executed" in zinit.said()
        assert "internal error" not in zinit.said()
        zinit.client.shutdown()
        assert zinit.process is not None
        assert zinit.process.wait(DEADLINE_S) == 0


def signal_if_up(zinit: ZinitDaemon, name: str, signal: str) -> None:
    try:
        zinit.client.kill(name, signal)
    except ZinitError as error:
        assert "is down" in str(error), error


def strangers(path: Path) -> list[tuple[int, int]]:
    """Return pid and status of the other processes that have ended."""
    pairs = (
        line.split() for line in path.read_text().splitlines(keepends=True) if line[-1] == "\n"
    )
    return [(int(pid), int(status)) for pid, status in pairs]
