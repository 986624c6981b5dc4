"""Commands, order, logs and readiness, with real processes in container mode."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, running_daemon
from zinit.client.line import ZinitError


def test_order_logs_and_states(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path,
        a="exec: sleep 1000",
        b="exec: sh -c 'echo hello; echo oops >&2; exec sleep 1000'\nafter: [a]",
        one='exec: "true"\noneshot: true',
        bad="exec: sh -c 'exit 3'\noneshot: true",
        gone="exec: /does/not/exist",
    ) as zinit:
        zinit.wait_for_state("b", "Running")
        zinit.wait_for_state("one", "Success")
        zinit.wait_for_state("bad", "Error(Exited(Pid(")
        zinit.wait_for_state("gone", "Failure")
        zinit.wait_for_line("[+] b: hello")
        zinit.wait_for_line("[-] b: oops")
        assert zinit.cli("list").stdout.startswith("---\na: Running\n")
        assert zinit.end() == 0


def test_stop_start_restart_kill_forget_monitor(tmp_path: Path) -> None:
    with running_daemon(tmp_path, a="exec: sleep 1000") as zinit:
        zinit.wait_for_state("a", "Running")
        pid = zinit.service_pid("a")
        assert zinit.cli("restart", "a").returncode == 0
        pids = {0, pid}
        pids.add(wait_until(lambda: {zinit.service_pid("a")} - pids, "a runs again").pop())
        zinit.client.kill("a", "SIGKILL")
        wait_until(lambda: zinit.service_pid("a") not in pids, "it is restarted after two seconds")
        zinit.client.stop("a")
        zinit.wait_for_state("a", "Error(Signaled(Pid(")
        assert zinit.cli("kill", "a").stderr == 'service "a" is down\n'
        zinit.client.forget("a")
        assert zinit.client.list() == {}
        zinit.write("late", "exec: sleep 1000")
        zinit.client.monitor("late")
        zinit.wait_for_state("late", "Running")


def test_readiness_by_descriptor_and_by_notification(tmp_path: Path) -> None:
    notify = (
        "import os,socket;s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM);"
        "s.sendto(b'READY=1',os.environ['NOTIFY_SOCKET'].replace('@',chr(0)))"
    )
    (tmp_path / "notify.py").write_text(notify)
    tell = f"{sys.executable} -IS {tmp_path}/notify.py"
    go = tmp_path / "go"
    wait = f"while ! test -e {go}; do sleep 0.02; done"
    with running_daemon(
        tmp_path,
        f=f"exec: sh -c '{wait}; echo >&7; exec sleep 1000'\nready: fd:7",
        n=f"exec: sh -c '{wait}; {tell}; exec sleep 1000'\nready: notify",
        after_f="exec: sleep 1000\nafter: [f]",
        after_n="exec: sleep 1000\nafter: [n]",
    ) as zinit:
        zinit.wait_for_state("f", "Spawned")
        zinit.wait_for_state("n", "Spawned")
        assert zinit.state("after-f") == "Blocked"
        go.touch()
        zinit.wait_for_state("after-f", "Running")
        zinit.wait_for_state("after-n", "Running")


@pytest.mark.usefixtures("as_root")
def test_root_is_entered_before_dir(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path,
        r="exec: pwd\nroot: /usr\ndir: /bin\noneshot: true",
        x="exec: pwd\nroot: /does/not/exist",
    ) as zinit:
        zinit.wait_for_line("[+] r: /bin")
        zinit.wait_for_state("x", "Failure")


def test_a_child_has_only_its_own_descriptors_and_a_clear_signal_mask(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path,
        fds="exec: ls /proc/self/fd\noneshot: true",
        mask="exec: grep -E 'Sig(Blk|Ign)' /proc/self/status\noneshot: true",
        sid="exec: sh -c 'echo $$ $(ps -o pgid=,sid= -p $$)'\noneshot: true",
    ) as zinit:
        for name in ("fds", "mask", "sid"):
            zinit.wait_for_state(name, "Success")
        wait_until(lambda: len(zinit.lines("fds")) >= 5, "four descriptors")
        wait_until(lambda: len(zinit.lines("mask")) >= 3, "two masks")
        wait_until(lambda: len(zinit.lines("sid")) >= 2, "three numbers")
        # 3 is what ls itself opens
        assert [line[-1] for line in zinit.lines("fds")[1:]] == ["0", "1", "2", "3"]
        masks = [line.split(":")[-1].strip() for line in zinit.lines("mask")[1:]]
        # 32 and 33 belong to the C library
        assert [int(mask, 16) & 0x7FFFFFFF for mask in masks] == [0, 0]
        pid, pgid, sid = zinit.lines("sid")[1].split(": ")[1].split()
        assert pid == pgid == sid


def test_a_second_daemon_refuses_and_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    with running_daemon(tmp_path, a="exec: sleep 1000") as zinit:
        call = [str(zinit.program), "-s", str(zinit.socket), "init", "--container"]
        second = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 1
        assert "another zinit answers" in second.stderr
        zinit.wait_for_state("a", "Running")
        pid = zinit.service_pid("a")
        os.kill(zinit.pid, signal.SIGKILL)
        assert zinit.process is not None
        zinit.process.wait()
        os.killpg(pid, signal.SIGKILL)
        assert zinit.socket.exists()
        zinit.start()
        zinit.wait_for_state("a", "Running")


def test_the_log_can_be_followed(tmp_path: Path) -> None:
    script = "sh -c 'echo one; while ! test -e go; do sleep 0.02; done; echo two; exec sleep 1000'"
    with running_daemon(tmp_path, a=f"exec: {script}\ndir: {tmp_path}") as zinit:
        lines = zinit.client.log(follow=True)
        assert "[start]" in next(lines)
        assert next(lines) == "[+] a: one"
        (tmp_path / "go").touch()
        assert next(lines) == "[+] a: two"


def test_a_client_reports_that_no_daemon_answers(tmp_path: Path) -> None:
    zinit = ZinitDaemon(tmp_path)
    with pytest.raises(ZinitError, match="cannot talk to zinit"):
        zinit.client.list()
    assert zinit.cli("list").returncode == 1
