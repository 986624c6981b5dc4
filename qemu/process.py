"""QEMU as a child process that can't outlive us.

It has a session of its own, so Ctrl-C on the terminal reaches only us, and it is tied to the thread
that started it, which is a thread of this module's that lives until the process has ended.
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
    """One running QEMU; `log_file` gets its command line and what it says."""

    def __init__(self, argv: Sequence[str], fds: Sequence[int], log_file: Path) -> None:
        self.argv = list(argv)
        self._fds = tuple(fds)
        self._log_file = log_file
        self._started: queue.Queue[subprocess.Popen[bytes] | OSError] = queue.Queue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._own, name="qemu", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process. Raises `MachineError` when that is not possible."""
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
        """Start the process and stay until it has ended: it is tied to this thread."""
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
        """Return its process id, once started."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        """Tell whether it was started and has not ended."""
        return self._process is not None and not self._ended.is_set()

    @property
    def status(self) -> int | None:
        """Return its exit status (negative: the signal that ended it) once it has ended."""
        return self._process.returncode if self._process and self._ended.is_set() else None

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; tell whether it has ended."""
        return self._ended.wait(timeout_s)

    def said(self) -> str:
        """Return the end of what QEMU printed."""
        with contextlib.suppress(OSError):
            text = self._log_file.read_bytes()[-SAID_BYTES:].decode(errors="replace")
            lines = [line for line in text.splitlines() if line != shlex.join(self.argv)]
            return "\n".join(lines[-8:]).strip()
        return ""

    def kill(self) -> None:
        """End it: a request first, then by force."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.is_running or self._process is None:
                break
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            self.wait(TERMINATE_DEADLINE_S)
        if self._thread.is_alive():
            self._thread.join(TERMINATE_DEADLINE_S)
