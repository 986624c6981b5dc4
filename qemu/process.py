"""QEMU as a child process that can't outlive its parent.

QEMU has its own session, so Ctrl-C on the terminal does not reach it. The kernel kills it when the
thread that started it ends; that thread belongs to this module and waits for QEMU's end.
"""

import contextlib
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from qemu.errors import MachineError

TETHER = Path(__file__).with_name("tether.py")
START_DEADLINE_S = 30.0
TERMINATE_DEADLINE_S = 5.0
SAID_BYTES = 4000


class QemuProcess:
    """One QEMU process; `log_file` receives its command line and output."""

    def __init__(self, argv: Sequence[str], fds: Sequence[int], log_file: Path) -> None:
        self.argv = list(argv)
        self._fds = tuple(fds)
        self._log_file = log_file
        self._started: queue.Queue[subprocess.Popen[bytes] | OSError] = queue.Queue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._own, name="qemu", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process. Raises `MachineError` if that fails."""
        self._log_file.write_text(f"{shlex.join(self.argv)}\n")
        self._thread.start()
        try:
            answer = self._started.get(timeout=START_DEADLINE_S)
        except queue.Empty as error:
            raise MachineError(f"{self.argv[0]} did not start") from error
        if isinstance(answer, OSError):
            raise MachineError(f"cannot run {self.argv[0]}: {answer.strerror}") from answer
        self._process = answer

    def _own(self) -> None:
        """Start the process and wait for its end, since it dies with this thread."""
        try:
            process = self._spawn()
        except OSError as error:
            self._started.put(error)
            self._ended.set()
            return
        self._started.put(process)
        process.wait()
        self._ended.set()

    def _spawn(self) -> subprocess.Popen[bytes]:
        tether = [sys.executable, "-IS", str(TETHER), str(os.getpid())]
        with open(self._log_file, "ab") as log:
            return subprocess.Popen(
                [*tether, *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self._fds,
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        """Return its process ID, or None before the start."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        """Return whether it was started and has not ended."""
        return self._process is not None and not self._ended.is_set()

    @property
    def status(self) -> int | None:
        """Return its exit status (negative: a signal), or None before its end."""
        return self._process.returncode if self._process and self._ended.is_set() else None

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; return whether it has ended."""
        return self._ended.wait(timeout_s)

    def said(self) -> str:
        """Return the end of QEMU's output."""
        with contextlib.suppress(OSError):
            text = self._log_file.read_bytes()[-SAID_BYTES:].decode(errors="replace")
            lines = [line for line in text.splitlines() if line != shlex.join(self.argv)]
            return "\n".join(lines[-8:]).strip()
        return ""

    def kill(self) -> None:
        """End it with SIGTERM, then with SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.is_running or self._process is None:
                break
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            self.wait(TERMINATE_DEADLINE_S)
        if self._thread.is_alive():
            self._thread.join(TERMINATE_DEADLINE_S)
