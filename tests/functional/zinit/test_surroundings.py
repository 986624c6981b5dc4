"""What zinit inherits: its folder, descriptors and signals; and signals during a reexec."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, hold
from zinit.client.line import ZinitError


def start_in(zinit: ZinitDaemon, folder: Path, *words: str) -> None:
    """Start the daemon in `folder`, to which its paths are relative."""
    with open(zinit.output, "ab") as output:
        zinit.process = subprocess.Popen(
            [*words, "--container"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    wait_until(lambda: zinit.client.list() is not None, f"zinit answers; {zinit.said()}")


def test_paths_are_relative_to_the_folder_it_was_started_in(tmp_path: Path) -> None:
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
        wait_until(lambda: "re-executed with 3 services" in zinit.said(), "it re-executes")
        assert zinit.client.reload() is not None
        assert set(zinit.client.list()) == {"here", "there", "late"}
        done = subprocess.run(
            ["./zinit", "-s", "sock", "proxy", "-a", "unix:http"], cwd=tmp_path, check=False
        )
        assert done.returncode == 0
        assert (tmp_path / "http").is_socket()
        assert zinit.end() == 0
        assert not zinit.socket.exists()


def test_a_removed_control_socket_comes_back(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.insert("import zinit.daemon\nzinit.daemon.SOCKET_LOOK_S = 0.1\n")
        zinit.write("a", "exec: sleep 1000")
        zinit.start()
        for _ in range(2):
            zinit.socket.unlink()
            wait_until(lambda: reach(zinit), "the socket is back")
            assert zinit.client.list().keys() == {"a"}
        assert zinit.socket.stat().st_mode & 0o777 == 0o600
        assert zinit.end() == 0
        assert not zinit.socket.exists()


def test_a_socket_put_in_the_place_of_ours_is_replaced(tmp_path: Path) -> None:
    """Nobody could reach the daemon any more; what another program answers on is left alone."""
    with ZinitDaemon(tmp_path) as zinit:
        zinit.insert("import zinit.daemon\nzinit.daemon.SOCKET_LOOK_S = 0.1\n")
        zinit.start()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(tmp_path / "other"))
            other.listen()
            (tmp_path / "other").replace(zinit.socket)
            wait_until(lambda: "another zinit answers there" in zinit.said(), "it is noticed")
        wait_until(lambda: reach(zinit), "the daemon is reached again")
        assert zinit.said().count("cannot listen") == 1


def reach(zinit: ZinitDaemon) -> bool:
    """Return whether the daemon answers."""
    try:
        return zinit.client.list() is not None
    except ZinitError:
        return False


def test_closed_standard_descriptors_are_replaced(tmp_path: Path) -> None:
    """Otherwise the first files opened would get their numbers, and services would inherit them."""
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
def test_services_do_not_inherit_ignored_signals(tmp_path: Path, more: str) -> None:
    """`zinit init &` in a script ignores SIGQUIT, which stops many servers."""
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("a", f"exec: grep SigIgn /proc/self/status\noneshot: true{more}")
        zinit.start(prefix=("env", "--ignore-signal=QUIT,USR1,HUP"))
        zinit.wait_for_state("a", "Success")
        wait_until(lambda: any("SigIgn" in line for line in zinit.lines("a")), "its status")
        mask = next(line for line in zinit.lines("a") if "SigIgn" in line).split()[-1]
        assert int(mask, 16) & 0x7FFFFFFF == 0


def test_a_signal_during_a_reexec_shuts_down(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        begun, go = tmp_path / "begun", tmp_path / "go"
        zinit.insert(
            "import os, time\n"
            "if 'ZINIT_STATE' in os.environ:\n"
            f"    open({str(begun)!r}, 'w').close()\n"
            f"    while not os.path.exists({str(go)!r}):\n"
            "        time.sleep(0.01)\n"
        )
        zinit.write("a", "exec: sleep 1000")
        zinit.start()
        zinit.wait_for_state("a", "Running")
        pid = zinit.service_pid("a")
        assert zinit.cli("reexec").returncode == 0
        wait_until(begun.exists, "the new program runs and has no handler yet")
        assert zinit.process is not None
        zinit.process.terminate()
        go.touch()
        assert zinit.process.wait(30) == 0
        assert not Path(f"/proc/{pid}").exists()


def test_a_signal_just_before_a_reexec_shuts_down(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("a", "exec: sleep 1000")
        zinit.start()
        zinit.wait_for_state("a", "Running")
        pid = zinit.service_pid("a")
        hold(zinit.pid)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(zinit.socket))
            sock.sendall(b"reexec\n")
            os.kill(zinit.pid, signal.SIGTERM)
            os.kill(zinit.pid, signal.SIGCONT)
            assert zinit.process is not None
            assert zinit.process.wait(30) == 0
        assert not Path(f"/proc/{pid}").exists()


def test_there_are_descriptors_for_services_that_are_added_later(tmp_path: Path) -> None:
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
        wait_until(lambda: len(zinit.lines("limit")) == 2, "it prints its limit")
        pid = zinit.service_pid("limit")
        go.unlink()
        zinit.client.restart("limit")
        wait_until(lambda: zinit.service_pid("limit") not in (0, pid), "it runs again")
        go.touch()  # its limit is set right after its start
        wait_until(lambda: len(zinit.lines("limit")) == 4, "it prints its limit again")
        assert zinit.lines("limit")[1::2] == ["[+] limit: 256"] * 2


@pytest.mark.parametrize("more", ["", "\nlimits: {core: 0}"])
def test_services_inherit_no_descriptor_of_our_caller(tmp_path: Path, more: str) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("a", f"exec: sh -c 'ls /proc/$$/fd'\noneshot: true{more}")
        zinit.start(prefix=("sh", "-c", 'exec "$@" 7</dev/null 9</dev/null', "sh"))
        zinit.wait_for_state("a", "Success")
        assert zinit.lines("a")[1:] == ["[+] a: 0", "[+] a: 1", "[+] a: 2"]


def test_no_service_sees_our_limit_of_open_files(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        for number in range(120):
            zinit.write(f"s{number}", "exec: sh -c 'ulimit -n'\noneshot: true")
        zinit.start("-b", "10000", prefix=("prlimit", "--nofile=256:4096"))
        wait_until(lambda: set(zinit.client.list().values()) == {"Success"}, "all ran")
        said = [line.split()[-1] for line in zinit.lines() if "[start]" not in line]
        assert said == ["256"] * 120


def test_services_get_no_locale_that_python_has_set(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("a", "exec: env\noneshot: true")
        zinit.start(prefix=("env", "-i", "LC_NAME=x"))
        zinit.wait_for_state("a", "Success")
        wait_until(lambda: "[+] a: LC_NAME=x" in zinit.lines("a"), "its environment")
        assert not any("LC_CTYPE" in line for line in zinit.lines("a"))


def test_a_locale_of_our_caller_is_kept(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("a", "exec: env\noneshot: true")
        zinit.start(prefix=("env", "LC_CTYPE=C.UTF-8"))
        zinit.wait_for_line("[+] a: LC_CTYPE=C.UTF-8")


def run_init(zinit: ZinitDaemon, folder: Path) -> subprocess.CompletedProcess[str]:
    call = [str(zinit.program), "-s", str(zinit.socket), "init", "-c", str(folder), "--container"]
    return subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    done = run_init(ZinitDaemon(tmp_path), tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"cannot read {tmp_path}/nowhere: there is no such folder\n"


def test_a_file_in_place_of_the_socket_is_replaced_if_it_is_empty(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.socket.write_text("precious")
        done = run_init(zinit, zinit.etc)
        assert done.returncode == 1
        assert "is a file with content, not a socket" in done.stderr
        assert zinit.socket.read_text() == "precious"
        zinit.socket.write_text("")
        zinit.start()


def test_a_socket_whose_path_is_too_long_is_an_error(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.socket = tmp_path / ("x" * 107)
        done = run_init(zinit, zinit.etc)
        assert done.returncode == 1
        assert "at most 107 bytes" in done.stderr
