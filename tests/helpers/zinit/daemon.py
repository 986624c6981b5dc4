"""A real zinit daemon on a folder of its own, and the words to talk to it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.checkout import TOP
from tests.helpers.processes import children_of, process_state
from tests.helpers.waiting import DEADLINE_S, wait_until
from zinit.client.line import Client

LAUNCHER = (
    "import sys; sys.path[:0] = {paths!r}\n"
    "from zinit.client.cli import entry\n"
    "sys.argv[0] = 'zinit'\n"
    "sys.exit(entry())\n"
)


def library_paths() -> list[str]:
    """Return what a Python without site needs in sys.path to run zinit."""
    import yaml

    return [str(TOP), str(Path(yaml.__file__).parents[1])]


def write_launcher(folder: Path) -> Path:
    """Write the `zinit` program as a node has it: no site, nothing from the environment."""
    path = folder / "zinit"
    path.write_text(f"#!{sys.executable} -IS\n" + LAUNCHER.format(paths=library_paths()))
    path.chmod(0o755)
    return path


class ZinitDaemon:
    """A daemon in container mode; `with` starts and ends it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etc = folder / "etc"
        self.etc.mkdir(exist_ok=True)
        self.socket = folder / "sock"
        self.program = write_launcher(folder)
        self.output = folder / "output"
        self.client = Client(str(self.socket))
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, name: str, text: str) -> None:
        """Write a service file."""
        (self.etc / f"{name}.yaml").write_text(text)

    def start(self, *flags: str, prefix: tuple[str, ...] = ()) -> None:
        """Start the daemon and wait until it answers."""
        call = [*prefix, str(self.program), "-s", str(self.socket), "init", "-c", str(self.etc)]
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(
                [*call, "--container", *flags],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                start_new_session=True,
            )
        wait_until(lambda: self.client.list() is not None, f"zinit answers; {self.said()}")

    def said(self) -> str:
        """Return what the daemon printed."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    @property
    def pid(self) -> int:
        """The daemon's pid."""
        assert self.process is not None
        return self.process.pid

    def end(self, deadline_s: float = DEADLINE_S) -> int:
        """Ask for a shutdown and return the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(deadline_s)

    def cleanup(self) -> None:
        """End the daemon whatever it does, and what it left."""
        if self.process is None:
            return
        sessions = set(children_of(self.process.pid))
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        try:
            self.end(10.0)
        except subprocess.TimeoutExpired:
            sessions |= set(children_of(self.process.pid))  # what was started since
            before = time.clock_gettime(time.CLOCK_BOOTTIME)
            self.process.kill()
            self.process.wait()
        for pid in members_of(sessions, before):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def __enter__(self) -> "ZinitDaemon":
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the `zinit` program."""
        return subprocess.run(
            [str(self.program), "-s", str(self.socket), *words],
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def exchange(self, data: bytes) -> bytes:
        """Send raw bytes; return everything until the daemon closes."""
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(DEADLINE_S)
            door.connect(str(self.socket))
            door.sendall(data)
            parts = []
            while part := door.recv(65536):
                parts.append(part)
            return b"".join(parts)

    def state(self, name: str) -> str:
        """Return a service's state."""
        return str(self.client.status(name)["state"])

    def service_pid(self, name: str) -> int:
        """Return a service's pid, 0 if it has none."""
        pid = self.client.status(name)["pid"]
        assert isinstance(pid, int)
        return pid

    def running_pid(self, name: str) -> int:
        """Return a service's pid, as soon as it has one; 0 would signal the tests themselves."""
        return wait_until(lambda: self.service_pid(name), f"{name} has a process")

    def wait_for_state(self, name: str, *states: str) -> str:
        """Wait until a service shows one of `states` (beginnings)."""
        seen = [""]

        def look() -> bool:
            seen[0] = self.state(name)
            return seen[0].startswith(states)

        try:
            wait_until(look, f"{name} in {states}")
        except AssertionError as error:
            raise AssertionError(f"{error}; state {seen[0]}; zinit said: {self.said()}") from None
        return seen[0]

    def lines(self, name: str = "") -> list[str]:
        """Return the log, or one service's part of it."""
        marks = (f"[+] {name}: ", f"[-] {name}: ")
        return [line for line in self.client.log() if not name or line.startswith(marks)]

    def wait_for_line(self, line: str) -> None:
        """Wait until the log holds a line."""
        wait_until(lambda: line in self.lines(), f"{line!r} in {self.lines()[-20:]}")


def hold(pid: int) -> None:
    """Stop a process with SIGSTOP, and wait for that: it may be running just now."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: process_state(pid) == "T", f"{pid} is stopped")


def members_of(sessions: set[int], before: float) -> list[int]:
    """Return the processes of some sessions that were there at the time `before`.

    A session's number may be somebody else's by now, whose processes are younger.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            words = path.read_text(errors="replace").rpartition(")")[2].split()
            started = int(words[19]) / os.sysconf("SC_CLK_TCK")
            if int(words[3]) in sessions and started <= before:
                found.append(int(path.parent.name))
    return found


@contextlib.contextmanager
def running_daemon(folder: Path, *flags: str, **files: str) -> Iterator[ZinitDaemon]:
    """Start a daemon with `files` (underscores stand for dashes in names)."""
    with ZinitDaemon(folder) as daemon:
        for name, text in files.items():
            daemon.write(name.replace("_", "-"), text)
        daemon.start(*flags)
        yield daemon
