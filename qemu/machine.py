"""A virtual machine as a context manager: started on entry, ended on exit, evidence on failure.

    with QemuMachine(MachineConfig(boot=UsbBoot(path), forwards=(6379,))) as machine:
        machine.wait_for_console_text("login:", timeout_s=60)

Every wait has a deadline, fails at once if the machine has ended, and reports the last output.
"""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qemu.answers import wait_for_answer
from qemu.artefacts import failure_folder, save_evidence
from qemu.console import Console
from qemu.errors import MachineError, WaitTimeoutError
from qemu.guest import Guest
from qemu.lines import Line, Pattern
from qemu.model import MachineConfig
from qemu.monitor import Event, Monitor
from qemu.process import QemuProcess
from qemu.screen import Screen
from qemu.session import Session


class QemuMachine:
    """One machine: `open` (or `with`) starts it, `close` ends it.

    `artefacts` is a folder for `console.log` and `qemu.log`, after a failure also for the screen
    and the events. Without it, they go to a folder that is removed unless something failed.
    `on_console_line` is called for each line and `on_console_data` for all bytes, in the console's
    thread. On `close`, the power button has `powerdown_timeout_s` to end the machine; by default it
    is switched off at once.
    """

    def __init__(
        self,
        config: MachineConfig,
        *,
        artefacts: Path | None = None,
        on_console_line: Callable[[Line], None] | None = None,
        on_console_data: Callable[[bytes], None] | None = None,
        powerdown_timeout_s: float = 0.0,
    ) -> None:
        self.config = config
        self._artefacts = artefacts
        self._on_console_line = on_console_line
        self._on_console_data = on_console_data
        self._powerdown_timeout_s = powerdown_timeout_s
        self._opened: Session | None = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if isinstance(error, Exception):
                self.keep_evidence(error)
        finally:
            self.close()

    def open(self) -> None:
        """Start the machine. Raises `MachineError` with QEMU's output if that fails."""
        takers = self._on_console_line, self._on_console_data
        session = Session(self.config, self._artefacts, *takers)
        session.acquire()
        self._opened = session
        try:
            session.start()
        except BaseException as error:
            if isinstance(error, Exception):
                self.keep_evidence(error)
            session.close()
            raise

    def close(self) -> None:
        """End the machine if it still runs, and release everything; safe to call twice."""
        if self._opened:
            try:
                self._opened.stop(self._powerdown_timeout_s)
            finally:
                self._opened.close()

    # Its parts

    @property
    def _session(self) -> Session:
        if self._opened is None:
            raise MachineError("the machine is not open: use `with` or open()")
        return self._opened

    @property
    def console(self) -> Console:
        """Return the serial console."""
        return self._session.console

    @property
    def monitor(self) -> Monitor:
        """Return the QMP session."""
        return self._session.monitor

    @property
    def process(self) -> QemuProcess:
        """Return the QEMU process."""
        return self._session.process

    @property
    def screen(self) -> Screen:
        """Return the screen."""
        return self._session.screen

    @property
    def guest(self) -> Guest:
        """Return the commands for a guest that runs the agent (`has_agent=True`)."""
        if self._session.guest is None:
            raise MachineError("the machine has no agent port: MachineConfig(has_agent=True)")
        return self._session.guest

    @property
    def folder(self) -> Path:
        """Return the folder with `console.log` and `qemu.log`."""
        return self._session.folder

    @property
    def acceleration(self) -> str:
        """Return "kvm" or "tcg"."""
        return self._session.acceleration

    @property
    def start_s(self) -> float:
        """Return the time of its start on the monotonic clock, the zero of every `at_s`."""
        return self._session.start_s

    @property
    def is_running(self) -> bool:
        """Return whether QEMU runs (the guest may have panicked or hang)."""
        return self.process.is_running

    def why_ended(self) -> str | None:
        """Return why this machine has ended or stopped, or None while it runs."""
        return self._session.why_ended()

    # Its output

    def forwarded_port(self, guest_port: int, protocol: str = "tcp") -> int:
        """Return the port on the host's 127.0.0.1 that is forwarded to `guest_port`."""
        port = self._session.ports.get((protocol, guest_port))
        if port is None:
            raise MachineError(f"{protocol} port {guest_port} is not forwarded")
        return port

    def wait_for_answer(self, guest_port: int, timeout_s: float, send: bytes = b"") -> bytes:
        """Wait until the service behind a forwarded port speaks; return what it said first.

        `send` is what makes it speak. A connection alone proves nothing, since QEMU accepts it.
        """
        port = self.forwarded_port(guest_port)
        return wait_for_answer(port, timeout_s, send, self.why_ended)

    def console_lines(self, since: int = 0) -> list[Line]:
        """Return the console's lines from number `since` on."""
        return self.console.lines(since)

    def wait_for_console_text(self, pattern: Pattern, timeout_s: float, since: int = 0) -> Line:
        """Wait for and return the first console line that matches `pattern`.

        `pattern` is a literal string or a compiled regex. To wait for new output, pass
        `machine.console.position` as `since`.
        """
        return self.console.wait_for(pattern, timeout_s, since, self.why_ended)

    def wait_for_event(self, *names: str, timeout_s: float, since: int = 0) -> Event:
        """Wait for and return the first QMP event with one of these names (RESET, ...)."""
        return self.monitor.wait_for_event(names, timeout_s, since, self.why_ended)

    def wait_for_shutdown(self, timeout_s: float) -> None:
        """Wait until the machine has powered off and QEMU has ended."""
        if not self.process.wait(timeout_s):
            raise self._is_still_on(timeout_s)

    def _is_still_on(self, timeout_s: float) -> WaitTimeoutError:
        return WaitTimeoutError(
            f"the machine did not power off within {timeout_s:g} s; "
            f"the console showed last:\n{self.console.tail()}"
        )

    # Its controls

    def qmp(self, command: str, **arguments: Any) -> Any:
        """Run a QMP command; underscores in argument names become dashes."""
        given = {name.replace("_", "-"): value for name, value in arguments.items()}
        return self.monitor.execute(command, given or None)

    def send_console(self, text: str | bytes) -> None:
        """Type `text` on the serial console."""
        self.console.send(text)

    def send_keys(self, *names: str) -> None:
        """Press keys together; the names are QEMU's (`ret`, `ctrl`, `f12`, `a`)."""
        self.qmp("send-key", keys=[{"type": "qcode", "data": name} for name in names])

    def set_link(self, is_up: bool, nic: int = 0) -> None:
        """Plug in or pull the cable of one network card."""
        self.qmp("set_link", name=f"nic{nic}", up=is_up)

    def reset(self) -> None:
        """Press the reset button."""
        self.qmp("system_reset")

    def power_button(self) -> None:
        """Press the power button."""
        self.qmp("system_powerdown")

    def shutdown(self, timeout_s: float) -> None:
        """Press the power button repeatedly until the machine has powered off."""
        if not self._session.power_down(timeout_s):
            raise self._is_still_on(timeout_s)

    def crash(self) -> None:
        """Switch the machine off at once."""
        self.stop()

    def stop(self, powerdown_timeout_s: float = 0.0) -> None:
        """End QEMU: by the power button (if it has a deadline), `quit`, then a signal."""
        self._session.stop(powerdown_timeout_s)

    def keep_evidence(self, error: BaseException) -> Path:
        """Save the screen, the events and the logs, and add the folder's name to `error`."""
        target = self._artefacts or failure_folder(self.config.name)
        save_evidence(self._session, target)
        error.add_note(f"the machine's console, screen and events are in {target}")
        return target
