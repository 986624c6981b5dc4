"""zinit as PID 1 of a namespace: mounts, services, orphans, signals, power-off and reboot."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.helpers.needs import need_root, need_tool
from tests.helpers.processes import children_of
from tests.helpers.waiting import DEADLINE_S, wait_until
from tests.helpers.zinit.daemon import library_paths
from zinit import boot
from zinit.client.line import Client, ZinitError

INIT = """\
import sys
sys.path[:0] = {paths!r}
from zinit import boot, buttons
boot.load_device_modules = lambda report: None  # they would be loaded into the host's kernel
buttons.watch_power_buttons = lambda number, report: []  # they are the host's, as its consoles are
boot.CONSOLES = ""
if any(path.startswith("/tmp/") for path in sys.path):  # keep the checkout visible
    boot.MOUNTS = tuple(row for row in boot.MOUNTS if row[1] != "/tmp")
old = boot.Settings.__init__.__defaults__
boot.Settings.__init__.__defaults__ = ({etc!r}, {socket!r}, *old[2:])
{more}
boot.main()
"""


class Machine:
    """A PID namespace in which zinit is PID 1, with a terminal as its console."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        self.etc = folder / "etc"
        self.etc.mkdir(exist_ok=True)
        self.socket = folder / "sock"
        self.client = Client(str(self.socket))
        self.init = folder / "init.py"
        values = {"paths": library_paths(), "etc": str(self.etc), "socket": str(self.socket)}
        self.init.write_text(INIT.format(more=more, **values))
        self.text = ""
        self._terminal = -1
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, name: str, text: str) -> None:
        (self.etc / f"{name}.yaml").write_text(text)

    def start(self) -> None:
        self._terminal, console = pty.openpty()
        name = os.ttyname(console)
        script = f"mount --bind {name} /dev/console && exec {sys.executable} -IS {self.init}"
        call = ["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]
        self.process = subprocess.Popen(
            [*call, "sh", "-c", script],
            stdin=console,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )
        os.close(console)

    @property
    def pid(self) -> int:
        """The pid of PID 1 outside of the namespace."""
        assert self.process is not None
        return children_of(self.process.pid)[0]

    def take_terminal(self) -> int:
        """Hand our end of the console to the caller."""
        fd, self._terminal = self._terminal, -1
        return fd

    def read_console(self) -> str:
        while self._terminal >= 0 and select.select([self._terminal], [], [], 0)[0]:
            try:
                data = os.read(self._terminal, 65536)
            except OSError:
                break
            if not data:
                break
            self.text += data.decode(errors="replace").replace("\r\n", "\n")
        return self.text

    def wait_for_text(self, text: str) -> None:
        try:
            wait_until(lambda: text in self.read_console(), repr(text))
        except AssertionError:
            raise AssertionError(f"no {text!r} on the console:\n{self.text}") from None

    def wait_for_end(self) -> int:
        assert self.process is not None
        end = time.monotonic() + DEADLINE_S
        while self.process.poll() is None and time.monotonic() < end:
            self.read_console()  # a full terminal would block it
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
        self.read_console()
        assert self.process.returncode is not None, f"PID 1 does not end:\n{self.text}"
        return self.process.returncode

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()  # --kill-child ends the namespace with it
            self.process.wait()
        if self._terminal >= 0:
            os.close(self._terminal)


@pytest.fixture
def machine() -> Iterator[Machine]:
    need_root()
    need_tool("unshare")
    # Not under /tmp, where PID 1 mounts its own.
    with tempfile.TemporaryDirectory(prefix="zinit-", dir="/var/tmp") as folder:
        one = Machine(Path(folder))
        try:
            yield one
        finally:
            one.close()


def test_the_options_of_init_are_followed_as_pid_1(machine: Machine) -> None:
    folder, socket = machine.folder / "other", machine.folder / "other.sock"
    folder.mkdir()
    (folder / "a.yaml").write_text("exec: sh -c 'seq 50; exec sleep 1000'")
    words = ["-s", str(socket), "init", "-c", str(folder), "-b", "10"]
    machine.init.write_text(
        machine.init.read_text().replace(
            "boot.main()", f"from zinit.client.cli import main\nmain({words}, 'zinit')"
        )
    )
    machine.start()
    client = Client(str(socket))
    wait_until(lambda: socket.is_socket(), "it listens there")
    assert list(client.list()) == ["a"]
    wait_until(lambda: "[+] a: 50" in list(client.log()), "the service runs")
    assert len(list(client.log())) == 10
    client.shutdown()
    assert machine.wait_for_end() != 1


def test_boot_services_and_power_off(machine: Machine) -> None:
    machine.write("base", "exec: sleep 1000")
    machine.write(
        "top",
        "exec: sh -c 'trap \"echo bye; exit 0\" TERM; echo up; while :; do sleep 0.05; done'"
        "\nafter: [base]\nlog: console",
    )
    machine.write(
        "mounts",
        f"exec: sh -c 'cat /proc/mounts > {machine.folder}/mounts; hostname'"
        "\noneshot: true\nlog: console",
    )
    machine.start()
    machine.wait_for_text("zinit: started as PID 1 (")
    machine.wait_for_text("[+] top: up")  # before, a signal would end it
    wait_until(lambda: machine.client.list()["top"] == "Running", "top runs")
    machine.wait_for_text(f"[+] mounts: {boot.read_hostname()}\n")
    mounted = (machine.folder / "mounts").read_text()
    for point in ("/proc", "/sys", "/dev", "/run"):
        assert f" {point} " in mounted
    machine.client.shutdown()
    status = machine.wait_for_end()
    # In a namespace, reboot(2) signals the parent: SIGINT means power-off.
    assert status in (-signal.SIGINT, 128 + signal.SIGINT), machine.text
    assert "[+] top: bye" in machine.text
    assert machine.text.rstrip().endswith("zinit: powering off now")


def test_an_initramfs_that_was_not_unpacked_whole_is_told_as_too_little_memory(
    machine: Machine,
) -> None:
    text = machine.init.read_text()
    call = "boot.LAST_RESORT_S = 0.2\nboot.main(last_file='/no/such/file', needs_mib=512)"
    machine.init.write_text(text.replace("boot.main()", call))
    machine.start()
    machine.wait_for_text("a node needs 512 MiB. Rebooting in a minute")
    assert machine.wait_for_end() in (-signal.SIGHUP, 128 + signal.SIGHUP), machine.text
    assert "too little memory" in machine.text
    assert "started as PID 1" not in machine.text


def test_ctrl_alt_del_reboots(machine: Machine) -> None:
    machine.write("a", "exec: sleep 1000")
    machine.start()
    wait_until(lambda: machine.client.list() == {"a": "Running"}, "a runs")
    os.kill(machine.pid, signal.SIGINT)
    assert machine.wait_for_end() in (-signal.SIGHUP, 128 + signal.SIGHUP), machine.text
    assert machine.text.rstrip().endswith("zinit: rebooting now")


def test_orphans_are_reaped(machine: Machine) -> None:
    machine.write(
        "orphans", "exec: sh -c 'for i in $(seq 200); do (sleep 0.1 &) ; done'\noneshot: true"
    )
    machine.start()
    wait_until(lambda: machine.client.list() == {"orphans": "Success"}, "all are started")
    wait_until(lambda: not children_of(machine.pid), "PID 1 has no child left, not even a zombie")


def test_no_signal_ends_pid_1_and_a_suspended_child_delays_nobody(machine: Machine) -> None:
    machine.write("a", "exec: sleep 1000\nstop_timeout: 1000")
    machine.write("crash", "exec: sh -c 'kill -SEGV $$'\nrestart: never")
    machine.start()
    wait_until(lambda: machine.client.list().get("a") == "Running", "a runs")
    pid = machine.client.status("a")["pid"]
    # All but KILL and STOP, which only a parent namespace can send, and those that PID 1 handles.
    quiet = set(range(1, 32)) - {9, 19, signal.SIGINT, signal.SIGPWR}
    for number in sorted(quiet):
        os.kill(machine.pid, number)
    machine.client.kill("a", "SIGSTOP")
    assert machine.client.status("a")["pid"] == pid
    wait_until(lambda: "SIGSEGV" in machine.client.list()["crash"], "the crash is seen")
    machine.client.shutdown()
    # Long before `stop_timeout`: a suspended service is continued so that it handles the signal.
    assert machine.wait_for_end() in (-signal.SIGINT, 128 + signal.SIGINT), machine.text


def test_pid_1_re_executes_and_keeps_its_children(machine: Machine) -> None:
    machine.write("a", "exec: sleep 1000")
    machine.write("flap", "exec: sh -c 'exit 1'\nrestart: {delay: 0.05, factor: 1}")
    machine.start()
    wait_until(lambda: machine.client.list().get("a") == "Running", "a runs")
    pid = machine.client.status("a")["pid"]
    for count in range(1, 4):
        machine.client.call("reexec")
        text = "re-executed with 2 services"
        wait_until(partial(said_times, machine, text, count), text)
        assert machine.client.status("a")["pid"] == pid
    machine.client.reboot()
    assert machine.wait_for_end() in (-signal.SIGHUP, 128 + signal.SIGHUP), machine.text
    assert machine.text.count("started as PID 1") == 1


def said_times(machine: Machine, text: str, count: int) -> bool:
    """Return whether the console has shown `text` exactly `count` times."""
    return machine.read_console().count(text) == count


def test_a_service_comes_back_after_each_of_a_hundred_sigkills(machine: Machine) -> None:
    """Whatever the moment of the kill."""
    machine.write("a", "exec: sleep 1000\nrestart: {delay: 0, factor: 1}")
    machine.start()
    seen: set[object] = {0}
    for _ in range(100):
        pid = wait_until(lambda: fresh_pid(machine, seen), "a new pid")
        seen.add(pid)
        machine.client.kill("a", "SIGKILL")
    wait_until(lambda: fresh_pid(machine, seen), "a new pid")
    wait_until(lambda: len(children_of(machine.pid)) == 1, "no zombie is left")


def fresh_pid(machine: Machine, seen: set[object]) -> object:
    """Return the service's pid if it is new, or else 0."""
    pid = machine.client.status("a")["pid"]
    return 0 if pid in seen else pid


def test_a_console_that_hangs_up_does_not_end_pid_1(machine: Machine) -> None:
    machine.write("a", 'exec: "yes"\nlog: console')
    machine.start()
    wait_until(lambda: machine.client.list() == {"a": "Running"}, "a runs")
    os.close(machine.take_terminal())  # the last descriptor, so the console hangs up
    machine.client.stop("a")
    wait_until(lambda: machine.client.status("a")["pid"] == 0, "a stops")
    machine.client.start("a")
    wait_until(lambda: machine.client.list() == {"a": "Running"}, "a runs")
    machine.client.shutdown()
    assert machine.wait_for_end() in (-signal.SIGINT, 128 + signal.SIGINT)


def test_a_daemon_that_begins_again_after_a_crash_starts_nothing_twice(machine: Machine) -> None:
    """After too many re-executions the next daemon begins without any state."""
    flag, starts = machine.folder / "crash", machine.folder / "starts"
    failpoint = (
        "import os, time\nfrom zinit import daemon\nold_turn = daemon.Daemon._turn\n"
        "def turn(self, now):\n"
        f"    if not os.path.exists({str(flag)!r}): return old_turn(self, now)\n"
        f"    os.unlink({str(flag)!r})\n"
        "    self.reexecs = [time.monotonic()] * 9\n"
        "    self.loop._on_fault = None\n"  # so that the loop itself ends
        "    raise RuntimeError('failpoint')\n"
        "daemon.Daemon._turn = turn\n"
    )
    text = machine.init.read_text()
    machine.init.write_text(text.replace("boot.main()", failpoint + "boot.main()"))
    machine.write("a", f"exec: sh -c 'echo x >> {starts}; exec sleep 1000'")
    machine.start()
    wait_until(lambda: machine.client.list().get("a") == "Running", "it runs")
    first = machine.client.status("a")["pid"]
    flag.touch()
    with contextlib.suppress(ZinitError, OSError):
        machine.client.list()  # a turn
    machine.wait_for_text("the manager crashed")
    wait_until(lambda: machine.client.status("a")["pid"] not in (0, first), "it runs again")
    wait_until(lambda: starts.read_text() == "x\nx\n", "it has been started twice")
    # Wait for this: a process has no command line in the moment of its exec.
    wait_until(lambda: commands_below(machine.pid) == [b"sleep\x001000\x00"], "it runs once")


def commands_below(pid: int) -> list[bytes]:
    """Return the command lines of a process's children."""
    return [Path(f"/proc/{child}/cmdline").read_bytes() for child in children_of(pid)]
