"""The process managers to compare, each with N copies of one tiny service.

The service writes one byte to a FIFO and then waits, so the number of bytes is the number of
services that have started. With a C compiler it is a static program of a few instructions; without
one it is a shell script (slower, but the same for all).
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.helpers.processes import children_of
from tests.helpers.zinit.daemon import write_launcher

SOURCE = """\
#include <fcntl.h>
#include <unistd.h>
int main(int argc, char **argv) {
  int fd = open(argv[1], O_WRONLY);
  if (fd < 0 || write(fd, "x", 1) != 1) return 1;
  close(fd);
  for (;;) pause();
}
"""
SCRIPT = '#!/bin/sh\nprintf x > "$1"\nexec sleep 1000000\n'
LOOP = """\
import posix, sys
program, fifo, count = sys.argv[1:]
for _ in range(int(count)):
    posix.posix_spawn(program, [program, fifo], {})
while True:
    posix.wait()
"""
DEADLINE_S = 120.0


def make_service(folder: Path) -> Path:
    """Make the program that every peer runs."""
    program = folder / "service"
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler:
        source = folder / "service.c"
        source.write_text(SOURCE)
        subprocess.run([compiler, "-static", "-Os", "-o", program, source], check=True)
    else:
        program.write_text(SCRIPT)
    program.chmod(0o755)
    return program


class Peer:
    """One process manager, in its own folder."""

    name = ""
    needs = ""

    def __init__(self, folder: Path, program: Path) -> None:
        self.folder = folder
        self.program = program
        self.fifo = folder / "fifo"
        self.process: subprocess.Popen[bytes] | None = None
        self._started = -1

    def write(self, count: int) -> None:
        """Write the configuration of `count` services."""
        raise NotImplementedError

    def command(self, count: int) -> list[str]:
        """Return the command that runs them."""
        raise NotImplementedError

    def prepare(self, count: int) -> None:
        """Write everything, so that only the start is measured."""
        self.folder.mkdir()
        os.mkfifo(self.fifo)
        self.write(count)
        self._started = os.open(self.fifo, os.O_RDWR)

    def launch(self, count: int) -> float:
        """Start the manager; return the seconds until all services run."""
        start = time.perf_counter()
        self.process = subprocess.Popen(
            self.command(count),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            start_new_session=True,
        )
        self.wait_for(count)
        return time.perf_counter() - start

    def wait_for(self, count: int) -> None:
        """Wait until `count` services have started."""
        end = time.monotonic() + DEADLINE_S
        os.set_blocking(self._started, False)
        while count > 0:
            try:
                count -= len(os.read(self._started, min(count, 65536)))
            except BlockingIOError:
                if time.monotonic() > end:
                    raise TimeoutError(f"{self.name}: {count} services never started") from None
                time.sleep(0.0002)

    def services(self) -> list[int]:
        """Return the pids of the running services."""
        return [pid for pid in self._tree() if is_program(pid, self.program)]

    def supervisors(self) -> list[int]:
        """Return the pids of all other processes of the manager."""
        return [pid for pid in self._tree() if not is_program(pid, self.program)]

    def _tree(self) -> list[int]:
        assert self.process is not None
        found = [self.process.pid]
        for pid in found:
            found += children_of(pid)
        return found

    def pss_kb(self) -> int:
        """Return the memory of the supervising processes."""
        return sum(read_pss_kb(pid) for pid in self.supervisors())

    def cpu_s(self) -> float:
        """Return the processor time that the supervising processes have used."""
        return sum(read_cpu_s(pid) for pid in self.supervisors())

    def restart(self) -> float:
        """Kill one service; return the seconds until it runs again."""
        pid = self.services()[-1]
        start = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        self.wait_for(1)
        return time.perf_counter() - start

    def close(self) -> None:
        """End the manager and all of its services."""
        if self.process is not None:
            pids = self._tree()
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
        if self._started >= 0:
            os.close(self._started)


class Loop(Peer):
    """The fastest posix_spawn loop there is: the lower bound for anything written in Python."""

    name = "posix_spawn loop"

    def write(self, count: int) -> None:
        del count
        (self.folder / "loop.py").write_text(LOOP)

    def command(self, count: int) -> list[str]:
        words = [self.folder / "loop.py", self.program, self.fifo, count]
        return [os.path.realpath(sys.executable), "-I", "-S", *map(str, words)]


class Zinit(Peer):
    """This project's zinit as users start it: the command that the package installs."""

    name = "zinit"

    def write(self, count: int) -> None:
        (self.folder / "etc").mkdir()
        for number in range(count):
            text = f"exec: {self.program} {self.fifo}\nrestart: {{delay: 0}}\n"
            (self.folder / "etc" / f"s{number:04}.yaml").write_text(text)

    def launcher(self) -> Path:
        """Return the program to start."""
        return Path(sys.executable).with_name("zinit")

    def command(self, count: int) -> list[str]:  # noqa: ARG002
        socket = str(self.folder / "sock")
        init = ["init", "-c", str(self.folder / "etc"), "--container"]
        return [str(self.launcher()), "-s", socket, *init]


class NodeZinit(Zinit):
    """The same as a node starts it: without site and the start of an installed command."""

    name = "zinit-node"

    def launcher(self) -> Path:
        return write_launcher(self.folder)


class S6(Peer):
    """s6-svscan, one supervisor per service."""

    name = "s6"
    needs = "s6-svscan"

    def write(self, count: int) -> None:
        for number in range(count):
            service = self.folder / "scan" / f"s{number:04}"
            service.mkdir(parents=True)
            run = service / "run"
            run.write_text(f"#!/bin/sh\nexec {self.program} {self.fifo}\n")
            run.chmod(0o755)

    def command(self, count: int) -> list[str]:  # noqa: ARG002
        return ["s6-svscan", "-c", "1100", str(self.folder / "scan")]


class Runit(S6):
    """runsvdir, one runsv per service."""

    name = "runit"
    needs = "runsvdir"

    def command(self, count: int) -> list[str]:  # noqa: ARG002
        return ["runsvdir", str(self.folder / "scan")]


class Supervisord(Peer):
    """supervisord, one process."""

    name = "supervisord"
    needs = "supervisord"

    def write(self, count: int) -> None:
        lines = ["[supervisord]", "nodaemon=true", f"logfile={self.folder}/log", "minfds=8192"]
        lines += [f"pidfile={self.folder}/pid", f"childlogdir={self.folder}"]
        for number in range(count):
            lines += [f"[program:s{number:04}]", f"command={self.program} {self.fifo}"]
            lines += ["startsecs=0", "autorestart=true"]
        (self.folder / "conf").write_text("\n".join(lines) + "\n")

    def command(self, count: int) -> list[str]:  # noqa: ARG002
        return ["supervisord", "-c", str(self.folder / "conf")]


PEERS = (Loop, Zinit, NodeZinit, S6, Runit, Supervisord)


def is_program(pid: int, program: Path) -> bool:
    """Return whether `pid` runs the service; a shell that is about to exec it does not count."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[:1] == [str(program).encode()]


def read_pss_kb(pid: int) -> int:
    """Return a process's proportional set size, or 0 if it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    rows = (line.split() for line in text.splitlines())
    return next((int(row[1]) for row in rows if row[0] == "Pss:"), 0)


def read_cpu_s(pid: int) -> float:
    """Return the processor time of a process, or 0 if it is gone."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
