"""A virtual machine as a context manager: started on entry, gone on exit, evidence on failure.

    with QemuMachine(MachineConfig(boot=UsbBoot(path), forwards=(6379,))) as machine:
        machine.wait_for_console_text("login:", timeout_s=60)

Every wait has a deadline, fails at once when the machine has died, and says what was seen last.
"""

import contextlib
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qemu.args import build_args
from qemu.artefacts import failure_folder, save_evidence
from qemu.console import Console, Line, Pattern
from qemu.errors import MachineEndedError, MachineError, WaitTimeoutError
from qemu.guest import Guest
from qemu.launch import Channels, PrivateFiles, choose, remove_folder
from qemu.model import Forward, MachineConfig
from qemu.monitor import Event, Monitor
from qemu.process import QemuProcess
from qemu.screen import TEXT_ADDRESS, TEXT_BYTES, decode_text

START_DEADLINE_S = 30.0
QUIT_DEADLINE_S = 5.0
KERNEL_PANIC = "Kernel panic - not syncing"
# A row of `info usernet`: TCP[HOST_FORWARD] FD 127.0.0.1 HOST_PORT 10.0.2.15 GUEST_PORT ...
FORWARD_ROW = re.compile(r"(TCP|UDP)\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s+\S+\s+(\d+)")


class QemuMachine:
    """One machine. The constructor only stores; `open` (or `with`) starts, `close` ends.

    `artefacts` is a folder for `console.log` and `qemu.log`, and after a failure for the screen and
    the events as well; without it they go to a folder that is removed unless something failed.
    `on_console_line` is called for each line, in the console's thread.
    """

    def __init__(
        self,
        config: MachineConfig,
        *,
        artefacts: Path | None = None,
        on_console_line: Callable[[Line], None] | None = None,
        powerdown_timeout_s: float = 0.0,
    ) -> None:
        self.config = config
        self.start_s = 0.0
        self.acceleration = ""
        self._artefacts = artefacts
        self._on_console_line = on_console_line
        self._powerdown_timeout_s = powerdown_timeout_s
        self._panic: str | None = None
        self._ports: dict[tuple[str, int], int] = {}
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            self.keep_evidence(error)
        self.close()

    def open(self) -> None:
        """Start the machine. Raises `MachineError` with what QEMU said when it does not start."""
        try:
            self._launch()
        except BaseException as error:
            if isinstance(error, Exception) and hasattr(self, "process"):
                self.keep_evidence(error)
            self._cleanup.close()
            raise

    def _launch(self) -> None:
        self.acceleration = choose(self.config)
        self.work = Path(tempfile.mkdtemp(prefix="zos-vm-"))
        self._cleanup.callback(remove_folder, self.work)
        self.folder = self._artefacts or self.work
        self.folder.mkdir(parents=True, exist_ok=True)
        files = PrivateFiles(self.config, self.work)
        channels = Channels(self.config.has_agent)
        self._cleanup.callback(channels.close)
        argv = build_args(self.config, channels.wiring(self.acceleration, files))
        self.process = QemuProcess(argv, channels.child_fds(), self.folder / "qemu.log")
        self.start_s = time.monotonic()
        self.console = Console(
            channels.console, self.folder / "console.log", self.start_s, self._take_line
        )
        self.monitor = Monitor(channels.qmp, self.start_s)
        self._cleanup.callback(self.console.close)
        self._cleanup.callback(self.monitor.close)
        self._cleanup.callback(self.process.kill)
        self.process.start()
        channels.close_child_ends()
        self.console.start()
        self._greet()
        self._ports = read_forwards(self.monitor.human("info usernet"))
        self._guest = Guest(channels.agent, self.why_ended) if channels.agent else None
        self.monitor.execute("cont")

    def _greet(self) -> None:
        try:
            self.monitor.open(START_DEADLINE_S)
        except MachineError as error:
            self.process.wait(QUIT_DEADLINE_S)
            said = self.process.said() or error.message
            raise MachineError(f"cannot start the machine: {said}") from error

    def close(self) -> None:
        """End the machine if it still runs, and release everything; safe to call twice."""
        try:
            if hasattr(self, "process") and self.process.is_running:
                self.stop(self._powerdown_timeout_s)
        finally:
            self._cleanup.close()

    # What it does and shows

    @property
    def is_running(self) -> bool:
        """Tell whether QEMU runs (the guest may have panicked or hang)."""
        return self.process.is_running

    @property
    def guest(self) -> Guest:
        """Return the words to a guest that runs the agent (`has_agent=True`)."""
        if self._guest is None:
            raise MachineError("the machine has no agent port: MachineConfig(has_agent=True)")
        return self._guest

    def forwarded_port(self, guest_port: int, protocol: str = "tcp") -> int:
        """Return the port on the host's 127.0.0.1 that leads to `guest_port`."""
        try:
            return self._ports[protocol, guest_port]
        except KeyError:
            raise MachineError(f"{protocol} port {guest_port} is not forwarded") from None

    def console_lines(self, since: int = 0) -> list[Line]:
        """Return the console's lines from number `since` on."""
        return self.console.lines(since)

    def wait_for_console_text(self, pattern: Pattern, timeout_s: float, since: int = 0) -> Line:
        """Return the first console line that has `pattern` (a literal string, or a compiled regex).

        `since` is a line number (`machine.console.position`), to wait for something new.
        """
        return self.console.wait_for(pattern, timeout_s, since, self.why_ended)

    def send_console(self, text: str) -> None:
        """Type `text` on the serial console."""
        self.console.send(text)

    def wait_for_event(self, *names: str, timeout_s: float, since: int = 0) -> Event:
        """Return the first QMP event with one of these names (RESET, SHUTDOWN, ...)."""
        return self.monitor.wait_for_event(names, timeout_s, since, self.why_ended)

    def qmp(self, command: str, **arguments: Any) -> Any:
        """Run a QMP command; underscores in argument names become dashes."""
        given = {name.replace("_", "-"): value for name, value in arguments.items()}
        return self.monitor.execute(command, given or None)

    def why_ended(self) -> str | None:
        """Return why nothing more can come from this machine, or None while it goes on."""
        if not self.process.is_running:
            return self._exit_reason()
        if self.config.on_panic == "none":
            return None
        if self._panic or self.monitor.find_event(("GUEST_PANICKED",)):
            return f"the guest panicked ({self._panic or 'told by pvpanic'})"
        states = [event.name for event in self.monitor.events() if event.name in ("STOP", "RESUME")]
        if states and states[-1] == "STOP":
            return f"QEMU has stopped the machine. {self.process.said()}"
        return None

    def _exit_reason(self) -> str:
        event = self.monitor.find_event(("SHUTDOWN",))
        if event and self.process.status == 0:
            return f"the machine has ended ({event.data.get('reason', 'shutdown')})"
        return f"QEMU ended with status {self.process.status}. {self.process.said()}".strip()

    def _take_line(self, line: Line) -> None:
        if KERNEL_PANIC in line.text and self._panic is None:
            self._panic = line.text
        if self._on_console_line:
            self._on_console_line(line)

    # The screen

    def screen_text(self) -> str:
        """Return what VGA text memory holds (firmware, boot loaders, a text console)."""
        path = self.work / "vga-memory"
        self.qmp("pmemsave", val=TEXT_ADDRESS, size=TEXT_BYTES, filename=str(path))
        return decode_text(path.read_bytes())

    def wait_for_screen_text(self, text: str, timeout_s: float) -> str:
        """Return the screen once it shows `text`, which may be the only sign of BIOS programs."""
        deadline = time.monotonic() + timeout_s
        while True:
            screen = self.screen_text()
            if text in screen:
                return screen
            if self.process.wait(0.25) or time.monotonic() > deadline:
                reason = self.why_ended() or f"not within {timeout_s:g} s"
                raise WaitTimeoutError(f"no {text!r} on the screen: {reason}; it showed:\n{screen}")

    def save_screen(self, path: Path) -> Path:
        """Save a picture of the screen as PNG, or as PPM (the name's end is changed) if need be."""
        try:
            self.qmp("screendump", filename=str(path), format="png")
        except MachineEndedError:
            raise
        except MachineError:
            path = path.with_suffix(".ppm")
            self.qmp("screendump", filename=str(path))
        return path

    # What is done to it

    def power_button(self) -> None:
        """Press the power button."""
        self.qmp("system_powerdown")

    def reset(self) -> None:
        """Press the reset button."""
        self.qmp("system_reset")

    def send_keys(self, *names: str) -> None:
        """Press keys together, named as QEMU names them (`ret`, `ctrl`, `f12`, `a`)."""
        self.qmp("send-key", keys=[{"type": "qcode", "data": name} for name in names])

    def set_link(self, is_up: bool, nic: int = 0) -> None:
        """Plug in or pull the cable of one network card."""
        self.qmp("set_link", name=f"nic{nic}", up=is_up)

    def wait_for_shutdown(self, timeout_s: float) -> None:
        """Wait until the machine has powered off and QEMU has ended."""
        if not self.process.wait(timeout_s):
            raise WaitTimeoutError(
                f"the machine did not power off within {timeout_s:g} s; "
                f"the console showed last:\n{self.console.tail()}"
            )

    def crash(self) -> None:
        """Take the power away."""
        self.stop()

    def stop(self, powerdown_timeout_s: float = 0.0) -> None:
        """End QEMU: the power button (if a deadline is given for it), `quit`, then a signal."""
        with contextlib.suppress(MachineError):
            if powerdown_timeout_s > 0:
                self.power_button()
                self.process.wait(powerdown_timeout_s)
        with contextlib.suppress(MachineError):
            if self.process.is_running:
                self.monitor.execute("quit", timeout_s=QUIT_DEADLINE_S)
                self.process.wait(QUIT_DEADLINE_S)
        self.process.kill()

    def keep_evidence(self, error: BaseException) -> Path:
        """Save the screen, the events and the logs, and add the folder's name to `error`."""
        target = self._artefacts or failure_folder(self.config.name)
        save_evidence(self, target)
        error.add_note(f"the machine's console, screen and events are in {target}")
        return target


def read_forwards(table: str) -> dict[tuple[str, int], int]:
    """Return (protocol, guest port) -> host port from what `info usernet` prints."""
    rows = FORWARD_ROW.findall(table)
    return {(protocol.lower(), int(guest)): int(host) for protocol, host, guest in rows}


__all__ = ["Forward", "MachineConfig", "QemuMachine"]
