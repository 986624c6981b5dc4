"""What zinit was started with: folder, descriptors, signals; and signals while it starts anew."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, hold


def start_in(zinit: ZinitDaemon, folder: Path, *words: str) -> None:
    """Start the daemon with its paths relative to `folder`."""
    with open(zinit.output, "ab") as output:
        zinit.process = subprocess.Popen(
            [*words, "--container"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    wait_until(lambda: zinit.client.list() is not None, f"zinit answers; {zinit.said()}")


def test_paths_are_relative_to_where_it_was_started(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("here", "exec: pwd\noneshot: true")
        zinit.write("there", f"exec: pwd\noneshot: true\ndir: {tmp_path}")
        start_in(zinit, tmp_path, "./zinit", "-s", "./sock", "init", "-c", "etc")
        zinit.wait_for_line("[+] here: /")
        zinit.wait_for_line(f"[+] there: {tmp_path}")
        zinit.write("late", "exec: pwd\noneshot: true")
        assert zinit.cli("monitor", "late").returncode == 0
        zinit.wait_for_line("[+] late: /")
        assert zinit.cli("reexec").returncode == 0
        wait_until(lambda: "re-executed with 3 services" in zinit.said(), "it starts anew")
        assert zinit.client.reload() is not None
        assert set(zinit.client.list()) == {"here", "there", "late"}
        done = subprocess.run(
            ["./zinit", "-s", "sock", "proxy", "-a", "unix:http"], cwd=tmp_path, check=False
        )
        assert done.returncode == 0
        assert (tmp_path / "http").is_socket()
        assert zinit.end() == 0
        assert not zinit.socket.exists()


def test_closed_standard_descriptors_are_no_trap(tmp_path: Path) -> None:
    """What is opened first would take their numbers, and services would get that."""
    with ZinitDaemon(tmp_path) as zinit:
        show = "sh -c 'for n in 0 1 2; do readlink /proc/$$/fd/$n; done'"
        zinit.write("a", f"exec: {show}\noneshot: true")
        zinit.write("b", "exec: sh -c 'test -e /proc/$$/fd/2 && echo fine >&2'\nlog: stdout")
        zinit.start(prefix=("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"))
        zinit.wait_for_line("[+] a: /dev/null")
        zinit.wait_for_state("a", "Success")
        zinit.wait_for_state("b", "Success")
        wait_until(lambda: sum("pipe:" in line for line in zinit.lines("a")) == 2, "two pipes")


@pytest.mark.parametrize("more", ["", "\nlimits: {core: 0}"])
def test_signals_that_a_shell_had_us_ignore_are_not_for_services(tmp_path: Path, more: str) -> None:
    """`zinit init &` in a script ignores SIGQUIT, which is what stops many a server."""
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("a", f"exec: grep SigIgn /proc/self/status\noneshot: true{more}")
        zinit.start(prefix=("env", "--ignore-signal=QUIT,USR1,HUP"))
        zinit.wait_for_state("a", "Success")
        wait_until(lambda: any("SigIgn" in line for line in zinit.lines("a")), "its status")
        mask = next(line for line in zinit.lines("a") if "SigIgn" in line).split()[-1]
        assert int(mask, 16) & 0x7FFFFFFF == 0


def test_a_shutdown_while_it_starts_anew_is_heeded(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        begun, go = tmp_path / "begun", tmp_path / "go"
        text = zinit.program.read_text()
        marker = "from zinit.client.cli import entry\n"
        code = (
            "import os, time\n"
            "if 'ZINIT_STATE' in os.environ:\n"
            f"    open({str(begun)!r}, 'w').close()\n"
            f"    while not os.path.exists({str(go)!r}):\n"
            "        time.sleep(0.01)\n"
        )
        zinit.program.write_text(text.replace(marker, code + marker))
        zinit.write("a", "exec: sleep 1000")
        zinit.start()
        zinit.wait_for_state("a", "Running")
        pid = zinit.service_pid("a")
        assert zinit.cli("reexec").returncode == 0
        wait_until(begun.exists, "the new program runs, and has no handler yet")
        assert zinit.process is not None
        zinit.process.terminate()
        go.touch()
        assert zinit.process.wait(30) == 0
        assert not Path(f"/proc/{pid}").exists()


def test_a_shutdown_just_before_it_starts_anew_is_heeded(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("a", "exec: sleep 1000")
        zinit.start()
        zinit.wait_for_state("a", "Running")
        pid = zinit.service_pid("a")
        hold(zinit.pid)
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(str(zinit.socket))
            door.sendall(b"reexec\n")
            os.kill(zinit.pid, signal.SIGTERM)
            os.kill(zinit.pid, signal.SIGCONT)
            assert zinit.process is not None
            assert zinit.process.wait(30) == 0
        assert not Path(f"/proc/{pid}").exists()


def test_there_are_descriptors_for_services_that_come_later(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        go = tmp_path / "go"
        go.touch()
        script = f"while ! test -e {go}; do sleep 0.02; done; ulimit -n; exec sleep 1000"
        zinit.write("limit", f"exec: sh -c '{script}'")
        zinit.start(prefix=("prlimit", "--nofile=256:4096"))
        for number in range(150):
            zinit.write(f"s{number}", "exec: sleep 1000")
            zinit.client.monitor(f"s{number}")
        wait_until(lambda: set(zinit.client.list().values()) == {"Running"}, "all run")
        wait_until(lambda: len(zinit.lines("limit")) == 2, "it says its limit")
        pid = zinit.service_pid("limit")
        go.unlink()
        zinit.client.restart("limit")
        wait_until(lambda: zinit.service_pid("limit") not in (0, pid), "it runs again")
        go.touch()  # its limit is set right after its start
        wait_until(lambda: len(zinit.lines("limit")) == 4, "it says its limit again")
        assert zinit.lines("limit")[1::2] == ["[+] limit: 256"] * 2
