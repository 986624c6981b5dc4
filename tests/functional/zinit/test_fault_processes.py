"""Faults of processes: ends that come together, orphans, reused pids, detached processes."""

import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.helpers.processes import children_of, process_state
from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import (
    ZinitDaemon,
    hold,
    remove_folder,
    running_daemon,
)
from zinit.process import cgroups

MANY = 1000
BECOME_REAPER = "import ctypes; assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0\n"
# Each round makes one orphan, which ends as soon as the daemon is its parent. The read from `told`
# returns when the orphan has reported its parent.
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


def test_children_that_end_together_are_all_reaped(tmp_path: Path) -> None:
    """Several SIGCHLDs merge into one; every status is still collected, and no zombie is left."""
    with ZinitDaemon(tmp_path) as zinit:
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        held = os.open(gate, os.O_RDWR)
        try:
            for number in range(300):
                zinit.write(f"s{number}", f"exec: sh -c 'read x < {gate}; exit 3'\noneshot: true")
            zinit.start()
            wait_until(lambda: set(zinit.client.list().values()) == {"Running"}, "all run")
            wait_until(lambda: count_readers(gate) == 300, "all wait")
        finally:
            os.close(held)  # the only writer, so that all children read the end of file
        wait_until(
            lambda: all(s.startswith("Error(Exited") for s in zinit.client.list().values()),
            "all ends are seen",
        )
        assert children_of(zinit.pid) == []


def count_readers(gate: Path) -> int:
    """Return how many processes read from the FIFO."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*/fd/0"):
        with contextlib.suppress(OSError):
            count += folder.readlink() == gate
    return count


def test_immediate_exits_are_never_missed(tmp_path: Path) -> None:
    """The child may have ended before its pid is known; upstream loses such exits."""
    with running_daemon(
        tmp_path,
        quick='exec: "true"\nlog: none\nrestart: {delay: 0, factor: 1}',
        other="exec: sleep 1000",
    ) as zinit:
        pids = set()

        def has_restarted_often() -> bool:
            pids.add(zinit.service_pid("quick"))
            return len(pids) > 100

        wait_until(has_restarted_often, "a hundred restarts")
        zinit.wait_for_state("other", "Running")
        zinit.client.stop("quick")
        wait_until(lambda: zinit.service_pid("quick") == 0, "it is down")


def test_many_orphans_disturb_no_service(tmp_path: Path) -> None:
    """Processes that zinit never started end between those that it waits for."""
    script, stop = tmp_path / "storm", tmp_path / "stop"
    script.write_text(STORM)
    with ZinitDaemon(tmp_path) as zinit:
        zinit.insert(BECOME_REAPER)  # the daemon inherits orphans, as it does when it is PID 1
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


def zombies_of(pid: int) -> list[int]:
    return [child for child in children_of(pid) if process_state(child) == "Z"]


def test_a_thousand_exits_in_one_signal(tmp_path: Path) -> None:
    """All children end while the daemon is suspended, so one SIGCHLD stands for all of them."""
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


@pytest.mark.usefixtures("as_root")
def test_a_kill_never_hits_a_reused_pid(tmp_path: Path) -> None:
    """Signals go through pidfds, also to a service whose exit has not been handled yet."""
    with running_daemon(tmp_path, a="exec: sleep 1000") as zinit:
        zinit.wait_for_state("a", "Running")
        fds = [str(fd.readlink()) for fd in Path(f"/proc/{zinit.pid}/fd").iterdir()]
        assert any("pidfd" in link for link in fds)
        pid = zinit.service_pid("a")
        hold(zinit.pid)
        os.kill(pid, signal.SIGKILL)
        os.kill(zinit.pid, signal.SIGCONT)
        with contextlib.suppress(Exception):
            zinit.client.kill("a", "SIGKILL")
        zinit.wait_for_state("a", "Error", "Running", "Spawned")


def test_detached_processes_survive_a_stop_by_default(tmp_path: Path) -> None:
    """A VM that vmd starts through setsid must survive a stop of vmd."""
    note = tmp_path / "pid"
    with running_daemon(
        tmp_path,
        vmd=f'exec: sh -c \'setsid sh -c "echo \\$\\$ > {note}; exec sleep 1000" & '
        "exec sleep 1000'",
    ) as zinit:
        wait_until(lambda: note.exists() and note.read_text().strip(), "it has detached")
        pid = int(note.read_text())
        try:
            zinit.client.stop("vmd")
            zinit.wait_for_state("vmd", "Error(Signaled")
            os.kill(pid, 0)
        finally:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.usefixtures("own_cgroups")
def test_kill_cgroup_ends_detached_processes(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    name = f"vmd-{os.getpid()}"
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write(
            name,
            f'exec: sh -c \'setsid sh -c "echo \\$\\$ > {note}; exec sleep 1000" & '
            "exec sleep 1000'\ncgroup: {kill: cgroup}",
        )
        zinit.start()
        wait_until(lambda: note.exists() and note.read_text().strip(), "it has detached")
        pid = int(note.read_text())
        zinit.client.stop(name)
        zinit.wait_for_state(name, "Error(Signaled")
        wait_until(lambda: process_state(pid) in ("", "Z"), "it has ended")
    folder = Path(cgroups.find_top()) / "zinit" / name
    wait_until(lambda: remove_folder(folder), "the group is empty")


SERVER = """
import os, signal, socket, sys, time
sock = socket.socket(socket.AF_UNIX)
sock.bind("\\0" + sys.argv[1])
sock.listen()
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)
print("serving", flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_worker_that_ignores_sigterm_does_not_outlive_its_master(
    tmp_path: Path, how: str
) -> None:
    """It would keep the address, and the next start would fail."""
    program = tmp_path / "server.py"
    program.write_text(SERVER)
    text = f"exec: {sys.executable} -IS {program} zinit-test-{os.getpid()}-{how}\n"
    with running_daemon(
        tmp_path, web=text + "stop_timeout: 0.5\nrestart: {delay: 0.1, factor: 1}"
    ) as zinit:
        zinit.wait_for_line("[+] web: serving")
        master = zinit.running_pid("web")
        (worker,) = children_of(master)
        if how == "stop":
            zinit.client.stop("web")
            wait_until(lambda: not zinit.service_pid("web"), "it is down")
            assert process_state(worker) == ""
            zinit.client.start("web")
        else:
            os.kill(master, signal.SIGKILL)
        wait_until(lambda: zinit.service_pid("web") not in (0, master), "it is started again")
        serving = "[+] web: serving"
        wait_until(lambda: zinit.lines("web").count(serving) == 2, "it serves again")
        assert process_state(worker) == ""
