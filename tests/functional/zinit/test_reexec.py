"""Re-executing zinit, by command or after a crash, loses no service and no log line."""

import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.checkout import TOP
from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import IMPORT, ZinitDaemon, hold
from zinit.client.line import ZinitError

TICK = "sh -c 'n=0; while :; do echo $n; n=$((n+1)); sleep 0.02; done'"


def numbers_of(zinit: ZinitDaemon, name: str) -> list[int]:
    """Return the numbers that the counting service has logged."""
    lines = [line.removeprefix(f"[+] {name}: ") for line in zinit.lines(name)]
    return [int(line) for line in lines if line.isdecimal()]


def wait_for_lines(zinit: ZinitDaemon, count: int) -> None:
    """Wait until the counting service has logged more than `count` lines."""
    wait_until(lambda: len(zinit.lines("tick")) > count, "the count goes on")


def test_reexec_keeps_services_logs_and_timers(tmp_path: Path) -> None:
    go = tmp_path / "go"
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("tick", f"exec: {TICK}")
        zinit.write("late", "exec: sleep 1000\nafter: [notify]")
        zinit.write(
            "notify",
            f"exec: sh -c 'while ! test -e {go}; do sleep 0.02; done; echo >&5; exec sleep 1000'"
            "\nready: fd:5",
        )
        zinit.write("flap", "exec: sh -c 'exit 1'")
        zinit.start("-b", "100000")
        zinit.wait_for_state("tick", "Running")
        zinit.wait_for_state("flap", "Error")
        pids = {name: zinit.running_pid(name) for name in ("tick", "notify")}
        for _ in range(3):
            wanted = len(zinit.lines("tick")) + 5
            assert zinit.cli("reexec").returncode == 0
            wait_for_lines(zinit, wanted)
        assert {name: zinit.service_pid(name) for name in pids} == pids
        assert zinit.said().count("re-executed with 4 services") == 3
        numbers = numbers_of(zinit, "tick")
        assert numbers == list(range(len(numbers)))
        assert zinit.state("late") == "Blocked"
        go.touch()
        zinit.wait_for_state("late", "Running")
        wait_until(lambda: len([x for x in zinit.lines("flap") if "[start]" in x]) > 1, "flap")
        os.kill(pids["tick"], signal.SIGKILL)
        wait_until(lambda: zinit.service_pid("tick") not in (0, pids["tick"]), "tick comes back")
        assert zinit.end() == 0


def test_an_exit_during_a_reexec_is_handled(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("a", "exec: sleep 1000")
        zinit.start()
        zinit.wait_for_state("a", "Running")
        pid = zinit.service_pid("a")
        hold(zinit.pid)
        os.kill(pid, signal.SIGKILL)
        # Both wait when the daemon is continued, and the request is handled first.
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(zinit.socket))
            sock.sendall(b"reexec\n")
            os.kill(zinit.pid, signal.SIGCONT)
            wait_until(lambda: "re-executed" in zinit.said(), "reexec")
        wait_until(lambda: zinit.service_pid("a") not in (0, pid), "a runs again")


def test_a_pipe_that_cannot_be_restored_costs_no_other_service(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.insert(
            "import os\nfrom zinit.log.outputs import Outputs\nold = Outputs.attach\n"
            "def broken(self, fd, mark, label, *more):\n"
            "    if label == 'a' and self._ring.end:\n"
            "        raise OSError(9, 'failpoint')\n"
            "    return old(self, fd, mark, label, *more)\n"
            "if 'ZINIT_STATE' in os.environ:\n    Outputs.attach = broken\n",
        )
        zinit.write("a", "exec: sleep 1000")
        zinit.write("tick", f"exec: {TICK}")
        zinit.start("-b", "100000")
        zinit.wait_for_state("a", "Running")
        zinit.wait_for_state("tick", "Running")
        pids = [zinit.service_pid(name) for name in ("a", "tick")]
        assert zinit.cli("reexec").returncode == 0
        wait_until(lambda: "re-executed" in zinit.said(), "it re-executes")
        wait_for_lines(zinit, len(zinit.lines("tick")) + 5)
        assert [zinit.service_pid(name) for name in ("a", "tick")] == pids
        assert zinit.said().count("cannot restore a service's output: ") == 2
        numbers = numbers_of(zinit, "tick")
        assert numbers == list(range(len(numbers)))


def test_a_crash_of_the_loop_re_executes_and_keeps_services(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        flag = tmp_path / "crash"
        zinit.insert(
            "import os\nfrom zinit.loop import Loop\nold = Loop._timeout\n"
            "def broken(self, at):\n"
            f"    if os.path.exists({str(flag)!r}):\n"
            f"        os.unlink({str(flag)!r})\n"
            "        self._on_fault = None  # so that the loop cannot handle the exception\n"
            "        raise RuntimeError('failpoint')\n"
            "    return old(self, at)\n"
            "Loop._timeout = broken\n",
        )
        zinit.write("a", "exec: sleep 1000")
        zinit.start()
        zinit.wait_for_state("a", "Running")
        pid = zinit.service_pid("a")
        flag.touch()
        with contextlib.suppress(ZinitError):  # a crash may close the connection
            zinit.client.list()  # causes a turn of the loop
        wait_until(lambda: "re-executed" in zinit.said(), "it re-executes")
        assert zinit.service_pid("a") == pid
        assert zinit.end() == 0


def test_endless_faults_re_execute_a_limited_number_of_times(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.insert(
            "from zinit.life.manager import Manager\n"
            "def broken(self, now):\n    raise RuntimeError('failpoint')\n"
            "Manager.on_time = broken\n",
        )
        zinit.write("a", "exec: sleep 1000")
        zinit.start()
        wait_until(lambda: zinit.said().count("re-executed") >= 2, "it re-executes")
        # A request during the re-execution may get no answer.
        wait_until(lambda: zinit.client.list() is not None, "it answers")
        assert zinit.process is not None
        zinit.process.kill()


def test_modules_for_later_are_imported_soon_after_the_boot(tmp_path: Path) -> None:
    """Or an old process would import them from a new version."""
    with ZinitDaemon(tmp_path) as zinit:
        flag = tmp_path / "imported"
        zinit.insert(
            "import sys, zinit.daemon, zinit.control.late as late\nold = late.import_one\n"
            "assert 'zinit.control.reexec' not in sys.modules\n"
            "def import_one(names):\n"
            "    is_more = old(names)\n"
            "    if not is_more and 'zinit.control.reexec' in sys.modules:\n"
            f"        open({str(flag)!r}, 'w').close()\n"
            "    return is_more\n"
            "late.import_one = import_one\nzinit.daemon.LATE_S = 0.1\n"
        )
        zinit.start()
        wait_until(flag.exists, "they are imported")
        assert "internal error" not in zinit.said()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("this is no Python\n", "SyntaxError"),
        ("import there_is_no_such_module\n", "ModuleNotFoundError"),
        ("import zinit.control.reexec as r\nr.FORMAT = 99\n", "it reads no state but format 99"),
        ("import zinit.control.trial, os\nos._exit(3)\n", "wait status 768"),
        ("import time\ntime.sleep(1000)\n", "has not started within"),
        ("import sys\nsys.modules['zinit.daemon'] = None\n", "zinit.daemon"),  # a broken module
        ("import sys\nsys.exit()\n", "ends without having read the state"),  # as an empty file
    ],
)
def test_a_program_that_would_not_start_is_not_executed(
    tmp_path: Path, code: str, reason: str
) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        good = zinit.program.read_text()
        zinit.insert("from zinit.control import trial\ntrial.TRIAL_S = 4.0\n")
        zinit.write("a", "exec: sleep 1000")
        zinit.start()
        zinit.wait_for_state("a", "Running")
        pid = zinit.service_pid("a")
        zinit.program.write_text(good.replace(IMPORT, code + IMPORT))
        with pytest.raises(ZinitError, match=reason):
            zinit.client.call("reexec")
        zinit.program.write_text(good)
        assert zinit.service_pid("a") == pid
        assert zinit.cli("reexec").returncode == 0
        wait_until(lambda: "re-executed with 1 services" in zinit.said(), "it re-executes")
        assert zinit.service_pid("a") == pid


@pytest.mark.parametrize("is_old", [False, True])
def test_a_state_that_cannot_be_read_keeps_the_services(tmp_path: Path, is_old: bool) -> None:
    """An older program leaves no table of descriptors, but its control socket is found."""
    with ZinitDaemon(tmp_path) as zinit:
        zinit.insert(
            "import os, zinit.control.reexec as r\n"
            "if 'ZINIT_STATE' in os.environ:\n    r.FORMAT = 99\n"
            f"    if {is_old}: del os.environ['ZINIT_TABLE']\n"
        )
        zinit.write("tick", f"exec: {TICK}")
        zinit.write("down", "exec: sleep 1000")
        zinit.start()
        zinit.client.stop("down")
        zinit.wait_for_state("tick", "Running")
        wait_until(lambda: zinit.service_pid("down") == 0, "it is down")
        pid = zinit.service_pid("tick")
        assert zinit.cli("reexec").returncode == 0
        wait_until(lambda: "re-executed with" in zinit.said(), "it re-executes")
        assert "cannot read the state of the previous program" in zinit.said()
        os.kill(pid, 0)
        if is_old:
            assert zinit.client.list() == {}
            os.kill(pid, signal.SIGKILL)
            return
        assert zinit.client.list() == {"down": "Unknown", "tick": "Running"}
        assert zinit.service_pid("tick") == pid
        wait_for_lines(zinit, len(zinit.lines("tick")) + 5)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: zinit.service_pid("tick") not in (0, pid), "it restarts")
        assert zinit.end() == 0


FORMAT_1 = TOP / "tests" / "unit" / "zinit" / "control" / "reexec-format1.json"
# Plays a program of format 1: two of its services run, and one of these is not ready yet.
OLD_PROGRAM = """
import json, os, socket, sys
path, go, state = sys.argv[1:4]
state = json.loads(state)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
listener.setblocking(False)
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
notify.bind(path + ".notify")
notify.setblocking(False)
reader, writer = os.pipe()
script = f"while ! test -e {go}; do sleep 0.02; done; echo ' and done'; exec sleep 1000"
plain = os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ, setsid=True,
    file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)])
os.close(writer)
waiting = os.posix_spawn("/bin/sh", ["sh", "-c", "exec sleep 1000"], os.environ, setsid=True)
pids = {6529: plain, 6528: waiting}
for unit in state["manager"]["units"]:
    unit["record"]["pid"] = pids.get(unit["record"]["pid"], 0)
    unit["timers"].clear()  # they were due long ago
state["manager"]["pids"] = [[plain, "plain", "main"], [waiting, "notify", "main"]]
state.update(doors=[listener.fileno()], http=[], writers=[])
state["streams"] = [[reader, "[+]", "plain", "plain", "half"]]
state["channels"] = [[waiting, "notify", notify.fileno(), 0], [plain, "fd", -1]]
memory = os.memfd_create("state", 0)
os.write(memory, json.dumps(state).encode())
for fd in (listener.fileno(), notify.fileno(), reader):
    os.set_inheritable(fd, True)
os.execve(sys.argv[4], sys.argv[4:], {**os.environ, "ZINIT_STATE": str(memory)})
"""


def read_recorded_state() -> Any:
    """Return a recorded state whose services are only those that `OLD_PROGRAM` plays."""
    state = json.loads(FORMAT_1.read_text())
    units = state["manager"]["units"]
    names = ("plain", "notify", "late")
    state["manager"]["units"] = [one for one in units if one["service"]["name"] in names]
    return state


def test_the_state_of_an_older_program_is_taken_over(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        script, go = tmp_path / "old.py", tmp_path / "go"
        script.write_text(OLD_PROGRAM)
        state = json.dumps(read_recorded_state())
        zinit.start(prefix=(sys.executable, str(script), str(zinit.socket), str(go), state))
        assert "re-executed with 3 services" in zinit.said()
        assert "cannot restore" not in zinit.said()
        assert zinit.client.list() == {"late": "Blocked", "notify": "Spawned", "plain": "Running"}
        pids = {name: zinit.service_pid(name) for name in ("plain", "notify")}
        go.touch()
        zinit.wait_for_line("[+] plain: half and done")
        assert "[+] plain: begun" in zinit.lines()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"READY=1", f"{zinit.socket}.notify")
        zinit.wait_for_state("late", "Running")
        assert zinit.cli("reexec").returncode == 0
        wait_until(lambda: zinit.said().count("re-executed with 3 services") == 2, "again")
        assert {name: zinit.service_pid(name) for name in pids} == pids
        os.kill(pids["plain"], signal.SIGKILL)
        wait_until(lambda: zinit.service_pid("plain") not in (0, pids["plain"]), "it restarts")
        assert zinit.end() == 0
        assert not zinit.socket.exists()


def test_another_version_right_after_the_start_is_an_error_and_no_loop(tmp_path: Path) -> None:
    """The modules that are imported later are not those of the program that runs."""
    missing = ("zinit.control.late", "zinit.control.trial")
    with ZinitDaemon(tmp_path) as zinit:
        code = f"import sys, zinit.daemon\nsys.modules.update(dict.fromkeys({missing}))\n"
        zinit.insert(code + "zinit.daemon.LATE_S = 0.1\n")
        zinit.write("tick", f"exec: {TICK}")
        zinit.start()
        wait_until(lambda: "internal error" in zinit.said(), "it is reported")
        with pytest.raises(ZinitError, match="cannot re-execute: it cannot be tested"):
            zinit.client.call("reexec")
        zinit.wait_for_state("tick", "Running")
        assert zinit.said().count("internal error") == 1
