"""A real zinit daemon with a folder of its own, for tests to start, query and end."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.helpers.checkout import TOP
from tests.helpers.processes import children_of, process_state
from tests.helpers.waiting import DEADLINE_S, wait_until
from zinit.client.line import Client

IMPORT = "from zinit.client.cli import entry\n"
LAUNCHER = "import sys; sys.path[:0] = {paths!r}\n{line}sys.argv[0] = 'zinit'\nsys.exit(entry())\n"


def library_paths() -> list[str]:
    """Return the entries of sys.path that a Python without site needs to run zinit."""
    import yaml

    return [str(TOP), str(Path(yaml.__file__).parents[1])]


def write_launcher(folder: Path) -> Path:
    """Write the `zinit` program as on a node: without site and Python's environment variables."""
    path = folder / "zinit"
    path.write_text(
        f"#!{sys.executable} -IS\n" + LAUNCHER.format(paths=library_paths(), line=IMPORT)
    )
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

    def insert(self, code: str) -> None:
        """Make the daemon's program run `code` first, for example to add a failpoint."""
        text = self.program.read_text()
        self.program.write_text(text.replace(IMPORT, code + IMPORT))

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
        """Return what the daemon has printed."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    @property
    def pid(self) -> int:
        """The daemon's pid."""
        assert self.process is not None
        return self.process.pid

    def end(self, deadline_s: float = DEADLINE_S) -> int:
        """Shut the daemon down and return its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(deadline_s)

    def cleanup(self) -> None:
        """End the daemon, by SIGKILL if necessary, and all processes that it left."""
        if self.process is None:
            return
        sessions = set(children_of(self.process.pid))
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        try:
            self.end(10.0)
        except subprocess.TimeoutExpired:
            sessions |= set(children_of(self.process.pid))  # those started since
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
        """Send raw bytes; return all bytes until the daemon closes the connection."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE_S)
            sock.connect(str(self.socket))
            sock.sendall(data)
            parts = []
            while part := sock.recv(65536):
                parts.append(part)
            return b"".join(parts)

    def rpc(self, method: str, *params: object) -> Any:
        """Call a JSON-RPC method and return the whole reply."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE_S)
            sock.connect(str(self.socket))
            sock.sendall(json.dumps(request).encode())
            reply = b""
            while not reply.endswith(b"\n"):
                part = sock.recv(65536)
                assert part, f"no reply to {method}, only {reply!r}"
                reply += part
        return json.loads(reply)

    def state(self, name: str) -> str:
        """Return a service's state."""
        return str(self.client.status(name)["state"])

    def service_pid(self, name: str) -> int:
        """Return a service's pid, 0 if it has none."""
        pid = self.client.status(name)["pid"]
        assert isinstance(pid, int)
        return pid

    def running_pid(self, name: str) -> int:
        """Wait until a service has a process and return its pid; 0 would signal the tests."""
        return wait_until(lambda: self.service_pid(name), f"{name} has a process")

    def wait_for_state(self, name: str, *states: str) -> str:
        """Wait until a service's state begins with one of `states`; return the state."""
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
        """Return the lines of the log, or of one service."""
        marks = (f"[+] {name}: ", f"[-] {name}: ")
        return [line for line in self.client.log() if not name or line.startswith(marks)]

    def count_starts(self, name: str) -> int:
        """Return how often the log notes a start of a service."""
        return sum("[start]" in line for line in self.lines(name))

    def wait_for_line(self, line: str) -> None:
        """Wait until the log contains a line."""
        wait_until(lambda: line in self.lines(), f"{line!r} in {self.lines()[-20:]}")


def remove_folder(folder: Path) -> bool:
    """Remove a control group's folder if it exists; return whether it is gone."""
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def hold(pid: int) -> None:
    """Suspend a process with SIGSTOP, and wait until it is suspended."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: process_state(pid) == "T", f"{pid} is stopped")


def count_fds(pid: int) -> int:
    """Return the number of a process's open descriptors."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def members_of(sessions: set[int], before: float) -> list[int]:
    """Return the processes in `sessions` that existed at the time `before`.

    A session's number may have been reused since, by younger processes.
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
