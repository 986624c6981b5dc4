"""A virtual machine as a context manager: started on entry, gone on exit, evidence on failure.

    with QemuMachine(MachineConfig(boot=UsbBoot(path), forwards=(6379,))) as machine:
        machine.wait_for_console_text("login:", timeout_s=60)

Every wait has a deadline, fails at once when the machine has died, and says what was seen last.
"""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qemu.artefacts import failure_folder, save_evidence
from qemu.console import Console, Line, Pattern
from qemu.errors import MachineError, WaitTimeoutError
from qemu.guest import Guest
from qemu.model import MachineConfig
from qemu.monitor import Event, Monitor
from qemu.process import QemuProcess
from qemu.screen import Screen
from qemu.session import Session


class QemuMachine:
    """One machine. The constructor only stores; `open` (or `with`) starts, `close` ends.

    `artefacts` is a folder for `console.log` and `qemu.log`, and after a failure for the screen and
    the events as well; without it they go to a folder that is removed unless something failed.
    `on_console_line` is called for each line, in the console's thread. The machine gets
    `powerdown_timeout_s` to end by its power button; by default its power is taken away.
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
        self._artefacts = artefacts
        self._on_console_line = on_console_line
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
        """Start the machine. Raises `MachineError` with what QEMU said when it does not start."""
        self._opened = Session(self.config, self._artefacts, self._on_console_line)
        try:
            self._opened.start()
        except BaseException as error:
            if isinstance(error, Exception):
                self.keep_evidence(error)
            self._opened.close()
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
        """Return the process of QEMU."""
        return self._session.process

    @property
    def screen(self) -> Screen:
        """Return the screen."""
        return self._session.screen

    @property
    def guest(self) -> Guest:
        """Return the words to a guest that runs the agent (`has_agent=True`)."""
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
        """Return when it was started, on the monotonic clock: the zero of every `at_s`."""
        return self._session.start_s

    @property
    def is_running(self) -> bool:
        """Tell whether QEMU runs (the guest may have panicked or hang)."""
        return self.process.is_running

    def why_ended(self) -> str | None:
        """Return why nothing more can come from this machine, or None while it goes on."""
        return self._session.why_ended()

    # What it says

    def forwarded_port(self, guest_port: int, protocol: str = "tcp") -> int:
        """Return the port on the host's 127.0.0.1 that leads to `guest_port`."""
        port = self._session.ports.get((protocol, guest_port))
        if port is None:
            raise MachineError(f"{protocol} port {guest_port} is not forwarded")
        return port

    def console_lines(self, since: int = 0) -> list[Line]:
        """Return the console's lines from number `since` on."""
        return self.console.lines(since)

    def wait_for_console_text(self, pattern: Pattern, timeout_s: float, since: int = 0) -> Line:
        """Return the first console line that has `pattern` (a literal string, or a compiled regex).

        `since` is a line number (`machine.console.position`), to wait for something new.
        """
        return self.console.wait_for(pattern, timeout_s, since, self.why_ended)

    def wait_for_event(self, *names: str, timeout_s: float, since: int = 0) -> Event:
        """Return the first QMP event with one of these names (RESET, SHUTDOWN, ...)."""
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

    # What is done to it

    def qmp(self, command: str, **arguments: Any) -> Any:
        """Run a QMP command; underscores in argument names become dashes."""
        given = {name.replace("_", "-"): value for name, value in arguments.items()}
        return self.monitor.execute(command, given or None)

    def send_console(self, text: str) -> None:
        """Type `text` on the serial console."""
        self.console.send(text)

    def send_keys(self, *names: str) -> None:
        """Press keys together, named as QEMU names them (`ret`, `ctrl`, `f12`, `a`)."""
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
        """Press the power button, again and again, until the machine has powered off."""
        if not self._session.power_down(timeout_s):
            raise self._is_still_on(timeout_s)

    def crash(self) -> None:
        """Take the power away."""
        self.stop()

    def stop(self, powerdown_timeout_s: float = 0.0) -> None:
        """End QEMU: the power button (if a deadline is given for it), `quit`, then a signal."""
        self._session.stop(powerdown_timeout_s)

    def keep_evidence(self, error: BaseException) -> Path:
        """Save the screen, the events and the logs, and add the folder's name to `error`."""
        target = self._artefacts or failure_folder(self.config.name)
        save_evidence(self._session, target)
        error.add_note(f"the machine's console, screen and events are in {target}")
        return target
