"""One run of a machine, from start to end: the QEMU process and our ends of its channels.

Everything is acquired in one place and released in reverse order, also if the start fails halfway.
"""

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from common.scratch import scratch
from qemu.acceleration import choose_acceleration, find_program
from qemu.agentlink import AgentLink
from qemu.args import build_args
from qemu.console import Console
from qemu.errors import MachineEndedError, MachineError
from qemu.firmware import tpm_call
from qemu.guest import Guest
from qemu.launch import Channel, Channels, prepare_files
from qemu.lines import Line
from qemu.model import MachineConfig
from qemu.monitor import Monitor
from qemu.process import QemuProcess
from qemu.screen import Screen

START_DEADLINE_S = 60.0
PRESS_AGAIN_S = 5.0
QUIT_DEADLINE_S = 10.0
EXIT_DEADLINE_S = 5.0
KERNEL_PANIC = "Kernel panic - not syncing"
EVIDENCE = (
    "console.log",
    "qemu.log",
    "tpm.log",
    "events.json",
    "screen.png",
    "screen.ppm",
    "screen.txt",
)
# A row of `info usernet`: TCP[HOST_FORWARD] FD 127.0.0.1 HOST_PORT 10.0.2.15 GUEST_PORT ...
FORWARD_ROW = re.compile(r"(TCP|UDP)\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s+\S+\s+(\d+)")


class Session:
    """A machine's parts: `acquire` creates them, `start` runs them, `close` releases them."""

    acceleration: str
    work: Path  # private, removed at the end
    folder: Path  # for the logs
    start_s: float
    process: QemuProcess
    _tpm: QemuProcess | None
    console: Console
    monitor: Monitor
    screen: Screen
    guest: Guest | None

    def __init__(
        self,
        config: MachineConfig,
        artefacts: Path | None,
        on_line: Callable[[Line], None] | None,
        on_data: Callable[[bytes], None] | None = None,
    ) -> None:
        self._config = config
        self._artefacts = artefacts
        self._on_line = on_line
        self._on_data = on_data
        self._panic: str | None = None
        self._cleanup = contextlib.ExitStack()
        self.ports: dict[tuple[str, int], int] = {}

    def acquire(self) -> None:
        """Create files, sockets and parts. On an exception, nothing is left behind."""
        try:
            self._prepare_folders()
            self._make_parts()
        except BaseException:
            self._cleanup.close()
            raise

    def _prepare_folders(self) -> None:
        architecture, wanted = self._config.architecture, self._config.acceleration
        find_program(architecture)
        self.acceleration = choose_acceleration(architecture) if wanted == "auto" else wanted
        self.work = self._cleanup.enter_context(scratch("vm"))
        self.folder = self._artefacts or self.work
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._artefacts:
            self._cleanup.enter_context(hold_folder(self._artefacts))
        for name in EVIDENCE:  # left by an earlier machine with the same folder
            (self.folder / name).unlink(missing_ok=True)

    def _make_parts(self) -> None:
        files = prepare_files(self._config, self.work)
        self._channels = channels = Channels.open(
            has_agent=self._config.has_agent,
            has_tpm=self._config.has_tpm,
            nics=self._config.nics,
        )
        self._cleanup.callback(channels.close)
        self._tpm = self._make_tpm(channels.tpm)
        argv = build_args(self._config, channels.wiring(self.acceleration, files))
        self.process = QemuProcess(argv, channels.child_fds(), self.folder / "qemu.log")
        self.start_s = time.monotonic()
        log = self.folder / "console.log"
        link = channels.console.ours
        self.console = Console(link, log, self.start_s, self._take_line, self._on_data)
        self.monitor = Monitor(channels.qmp.ours, self.start_s)
        self.screen = Screen(self.monitor, self.work, self.process.wait, self.why_ended)
        agent = channels.agent
        self.guest = Guest(AgentLink(agent.ours, self.why_ended)) if agent else None
        self._cleanup.callback(self.console.close)
        self._cleanup.callback(self.monitor.close)
        self._cleanup.callback(self.process.kill)

    def _make_tpm(self, channel: Channel | None) -> QemuProcess | None:
        """Return the process of the TPM, not yet started. It ends with QEMU."""
        if channel is None:
            return None
        control = channel.ours.fileno()
        call = tpm_call(self._config.tpm_state or self.work / "tpm", control)
        tpm = QemuProcess(call, [control], self.folder / "tpm.log")
        self._cleanup.callback(tpm.kill)
        return tpm

    def start(self) -> None:
        """Start QEMU, connect to it, and let the machine run.

        Raises `MachineError` with QEMU's output if that fails.
        """
        if self._tpm:
            self._tpm.start()
        self.process.start()
        self._channels.close_child_ends()
        self.console.start()
        try:
            self.monitor.open(START_DEADLINE_S)
            self.ports = read_forwards(self.monitor.human("info usernet"))
            self.monitor.execute("cont")
        except MachineError as error:
            self.process.wait(QUIT_DEADLINE_S)
            said = self.process.said() or error.message
            raise MachineError(f"cannot start the machine: {said}") from error

    def stop(self, powerdown_timeout_s: float) -> None:
        """End QEMU: by the power button (if it has a deadline), `quit`, then a signal."""
        with contextlib.suppress(MachineError):
            self.power_down(powerdown_timeout_s)
        if self.process.is_running:
            with contextlib.suppress(MachineError):
                self.monitor.execute("quit", timeout_s=QUIT_DEADLINE_S)
            self.process.wait(QUIT_DEADLINE_S)
        self.process.kill()

    def power_down(self, timeout_s: float) -> bool:
        """Press the power button until QEMU has ended, for `timeout_s`; return whether it has.

        The machine ignores the button until its kernel handles it, so one press is not enough. More
        presses do no harm to a kernel that is already shutting down.
        """
        deadline = time.monotonic() + timeout_s
        while self.process.is_running and (left_s := deadline - time.monotonic()) > 0:
            with contextlib.suppress(MachineEndedError):  # it may be about to end
                self.monitor.execute("system_powerdown")
            self.process.wait(min(left_s, PRESS_AGAIN_S))
        return not self.process.is_running

    def close(self) -> None:
        """Kill QEMU if it still runs, and release everything. Safe to call twice."""
        self._cleanup.close()

    def why_ended(self) -> str | None:
        """Return why this machine has ended or stopped, or None while it runs."""
        if self.console.is_closed or self.monitor.is_closed:
            self.process.wait(EXIT_DEADLINE_S)  # its exit status follows
        if not self.process.is_running:
            return self._exit_reason()
        if self._config.on_panic == "none":
            return None
        if self._panic or self.monitor.find_event(("GUEST_PANICKED",)):
            return f"the guest panicked ({self._panic or 'reported by pvpanic'})"
        changes = [event for event in self.monitor.events() if event.name in ("STOP", "RESUME")]
        if changes and changes[-1].name == "STOP":
            return f"QEMU has stopped the machine. {self.process.said()}".strip()
        return None

    def _exit_reason(self) -> str:
        self.monitor.wait_for_close(EXIT_DEADLINE_S)  # its last event may still be on its way
        event = self.monitor.find_event(("SHUTDOWN",))
        if event and self.process.status == 0:
            return f"the machine has ended ({event.data.get('reason', 'shutdown')})"
        return f"QEMU ended with status {self.process.status}. {self.process.said()}".strip()

    def _take_line(self, line: Line) -> None:
        if self._panic is None and KERNEL_PANIC in line.text:
            self._panic = line.text
        if self._on_line:
            self._on_line(line)


@contextlib.contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Keep the logs in `folder` from another machine. Raises `MachineError` if one has it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MachineError(
                f"cannot write to {folder}: a machine that runs has its logs there"
            ) from None
        yield
    finally:
        os.close(handle)


def read_forwards(table: str) -> dict[tuple[str, int], int]:
    """Parse the output of `info usernet`; return (protocol, guest port) -> host port."""
    rows = FORWARD_ROW.findall(table)
    return {(protocol.lower(), int(guest)): int(host) for protocol, host, guest in rows}
