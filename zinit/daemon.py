"""The process manager: connects loop, system, manager, outputs and server, and runs them."""

import gc
import os
import sys

from zinit.control.api import Api
from zinit.control.server import Server
from zinit.files.folder import Folder
from zinit.files.signals import SIGCHLD, SIGHUP, SIGINT, SIGPWR, SIGTERM
from zinit.life.manager import POWEROFF, REBOOT, Manager
from zinit.log.console import Console, open_standard
from zinit.log.outputs import Outputs
from zinit.log.ring import Ring
from zinit.loop import Loop
from zinit.process.signals import hold_signals, install_signals, release_signals
from zinit.process.system import RANK, RealSystem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SHUTDOWN_SIGNALS = {SIGTERM: POWEROFF, SIGINT: POWEROFF, SIGHUP: POWEROFF}
PID1_SIGNALS = {SIGINT: REBOOT, SIGPWR: POWEROFF}  # the kernel sends SIGINT for ctrl-alt-del
GC_THRESHOLD = 10_000  # few objects here are in cycles
SOCKET_LOOK_S = 5.0  # how often to look whether the control socket is there
SOCKET_PATH_MAX = 107  # <linux/un.h>
LATE_S = 2.0  # after the start, which imports only what it needs
CONSOLE_RETRY_S = 0.2
FAULT_LIMIT = 20  # unexpected exceptions within FAULT_WINDOW_S before the program is re-executed
FAULT_WINDOW_S = 10.0
REEXEC_LIMIT = 5  # automatic re-executions within REEXEC_WINDOW_S
REEXEC_WINDOW_S = 60.0


class Settings:
    """The settings of a daemon."""

    __slots__ = ("folder", "is_container", "ring_lines", "socket", "start_folder")

    def __init__(
        self,
        folder: str = "/etc/zinit",
        socket: str = "/run/zinit.sock",
        ring_lines: int = 2000,
        is_container: bool = False,
    ) -> None:
        self.folder = folder
        self.socket = socket
        self.ring_lines = ring_lines
        self.is_container = is_container
        self.start_folder = "/"  # relative paths in the program's arguments start here

    def enter_root(self) -> None:
        """Change to `/`, where services start, and make relative paths absolute."""
        try:
            self.start_folder = os.getcwd()
        except OSError:
            pass  # it was removed
        self.folder = os.path.normpath(os.path.join(self.start_folder, self.folder))
        self.socket = os.path.normpath(os.path.join(self.start_folder, self.socket))
        os.chdir("/")


class RefusedError(Exception):
    """Why a daemon that is not PID 1 does not start."""


class Daemon:
    """One process manager."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self.settings = settings
        self.console = console
        self.report = console.say
        self.fault_times: list[float] = []
        self.reexecs: list[float] = []  # times of automatic re-executions
        self.ring = Ring(settings.ring_lines)
        self.loop = Loop(self._now, self.on_fault)
        self.outputs = Outputs(self.loop, self.ring, console.write, self.report)
        self.system = RealSystem(self.outputs, self.loop, self.report, self.on_fault)
        self.folder = Folder(settings.folder, self.report)
        self.manager = Manager(self.system, self.folder.load)
        self.api = Api(self.manager, self.ring, self.folder)
        self.api.try_program = self.try_program
        self.api.reopen_logs = self.outputs.reopen
        self.server = Server(self.loop, self.api)
        self.system.on_notify = self.manager.on_notify
        self.folder.on_refused = self._note_refusal
        self._signals = SHUTDOWN_SIGNALS if settings.is_container else PID1_SIGNALS
        self._wake = -1
        self._look_at = 0.0
        self._socket_fault = ""  # why it cannot be opened
        self._is_tested = False  # the program that `reexec` executes
        self._late: list[str] | None = None  # modules still to be imported
        self._late_at = self.system.now() + LATE_S
        self._is_booted = False  # `_finish_boot` is done

    def run(self, state: "dict[str, Any] | None" = None) -> str:
        """Start the services, or continue from `state`; return the goal of the shutdown.

        Raises FileExistsError if another daemon answers on the control socket.
        """
        gc.set_threshold(GC_THRESHOLD)
        gc.enable()  # see `run_init`
        self.system.keep_files()
        self._wake = wake = install_signals((SIGCHLD, *self._signals))
        self.loop.watch(wake, RANK, lambda _: self._on_signals(wake))
        if state is None:
            self._open_socket()
            if self.settings.is_container or os.getpid() != 1:
                self._check_settings()
            self.load_folder()
        else:
            self._continue(state)
        self._on_signals(wake)  # children may have ended before the handler was installed
        self.loop.run(self._next_time, self._turn)
        self.outputs.finish()
        self.server.close()
        return self.manager.goal

    def _check_settings(self) -> None:
        """Raise RefusedError for a folder or socket that is a mistake."""
        folder, socket = self.settings.folder, self.settings.socket
        if not os.path.isdir(folder):
            self.server.close()
            raise RefusedError(f"cannot read {folder}: there is no such folder")
        if not self.server.is_open and os.path.isfile(socket):
            raise RefusedError(f"{socket} is a file with content, not a socket")
        if len(os.fsencode(socket)) > SOCKET_PATH_MAX:
            raise RefusedError(f"cannot listen on {socket}: at most {SOCKET_PATH_MAX} bytes")

    def _continue(self, state: "dict[str, Any]") -> None:
        """Go on where the previous program stopped; its state is empty if it can't be read."""
        from zinit.control.reexec import restore
        from zinit.control.rescue import take_table

        table = take_table()
        restore(self, state, table, self.settings.socket)
        if not self.server.is_open:
            self._open_socket()
            if not state and table.is_empty:  # there was no previous program
                self.load_folder()
        self.report(f"re-executed with {len(self.manager.units)} services")

    def load_folder(self) -> None:
        """Monitor every service file of the folder."""
        self.manager.add(self.folder.load_all())
        self.api.loaded = self.system.now()
        self.manager.report_cycles()

    def dump(self) -> "dict[str, object]":
        """Return the state that belongs to no part."""
        return {"reexecs": self.reexecs}

    def restore(self, state: "dict[str, Any]") -> None:
        """Continue from what `dump` returned."""
        self.reexecs = [float(at) for at in state["reexecs"]]

    def reexec(self) -> None:
        """Re-execute the program, after a test; if that fails, report it and go on."""
        from zinit.control.reexec import replace_program

        signals = (SIGCHLD, *self._signals)
        try:
            fault = "" if self._is_tested else self.try_program()
            self._is_tested = False
            if fault:
                self.report(f"cannot re-execute: {fault}")
                return
            hold_signals(signals, self._wake)
            replace_program(self, self.settings.start_folder)
        except Exception as error:
            self.report(f"cannot re-execute: {error}")
        finally:
            release_signals(signals)

    def try_program(self) -> str:
        """Test the program that `reexec` would execute; return what is wrong with it."""
        try:
            from zinit.control.trial import try_program
        except ImportError as error:  # another version lies there already
            return f"it cannot be tested: {error}"
        fault = try_program(self, self.settings.start_folder)
        self._is_tested = not fault
        return fault

    def may_reexec(self) -> bool:
        """Return whether re-executing may help after an error; not if it was tried repeatedly."""
        now = self.system.now()
        self.reexecs = [at for at in self.reexecs if now - at < REEXEC_WINDOW_S]
        if len(self.reexecs) >= REEXEC_LIMIT:
            return False
        self.reexecs.append(now)
        return True

    def on_fault(self, error: BaseException) -> None:
        """Report an unexpected exception and go on; re-execute after too many of them."""
        try:
            self._report_fault(error)
        except BaseException:
            self.console.write(b"zinit: internal error that cannot be reported, going on\n")
            return
        now = self.system.now()
        self.fault_times = [at for at in self.fault_times if now - at < FAULT_WINDOW_S]
        self.fault_times.append(now)
        if len(self.fault_times) > FAULT_LIMIT:
            self.fault_times.clear()
            if self.may_reexec():
                self.report("too many internal errors: re-executing")
                self.reexec()

    def _report_fault(self, error: BaseException) -> None:
        import traceback

        lines = traceback.format_exception(error)
        self.report("internal error, going on: " + "".join(lines)[-2000:].rstrip())

    def _open_socket(self) -> None:
        try:
            self.server.open(self.settings.socket)
            self._socket_fault = ""
        except FileExistsError:
            raise
        except OSError as error:
            self._note_socket_fault(error)
        self._look_at = self.system.now() + SOCKET_LOOK_S

    def _note_socket_fault(self, error: OSError) -> None:
        """Report why there is no control socket, once for each reason."""
        if self._socket_fault != str(error):
            self._socket_fault = str(error)
            self.report(f"cannot listen on {self.settings.socket}: {error}; trying again")

    def _look_for_socket(self) -> None:
        """Open the control socket if it could not be opened, or was removed or replaced."""
        self._look_at = self.system.now() + SOCKET_LOOK_S
        self.server.look()
        if self.server.is_open:
            return
        try:
            self._open_socket()
        except FileExistsError as error:
            self._note_socket_fault(error)

    def _note_refusal(self, name: str, reason: str) -> None:
        self.outputs.note(name, f"[start] its file is refused: {reason}")

    def _now(self) -> float:
        return self.system.now()

    def _next_time(self) -> float | None:
        times = [self.manager.timers.next_time(), self.server.next_time()]
        times += [self.outputs.next_time(), self._look_at]
        if self.console.is_waiting:
            times.append(self.system.now() + CONSOLE_RETRY_S)
        if self._late_at:
            times.append(self._late_at)
        return min((at for at in times if at is not None), default=None)

    def _turn(self, now: float) -> bool:
        self.api.begin_shutdown()
        self.manager.on_time(now)
        self.manager.launcher.work()
        self.outputs.turn(now)
        self.console.flush()
        is_busy = self.api.work()
        self.server.turn(now)
        if now >= self._look_at:
            self._look_for_socket()
        if self.api.wants_reexec and not is_busy:
            self.api.wants_reexec = False
            self.reexec()
        if self.manager.is_finished:
            self.loop.is_running = False
        if is_busy or self.manager.launcher.has_work:
            return True
        if self._late_at and now >= self._late_at:
            return self._import_late()
        if not self._is_booted:
            self._is_booted = True
            self._finish_boot()
        return False

    def _finish_boot(self) -> None:
        """Do what no service waits for, and what takes imports."""
        if os.getpid() != 1:
            self.system.become_reaper()
        elif not self.settings.is_container:
            from zinit.buttons import watch_power_buttons

            watch_power_buttons(SIGPWR, self.report)

    def _import_late(self) -> bool:
        """Import one of the modules that may be needed; return whether there are more."""
        try:
            from zinit.control.late import find_modules, import_one

            if self._late is None:
                self._late = find_modules()
            if import_one(self._late):
                return True
        except OSError:  # no descriptor is free now
            self._late_at = self.system.now() + LATE_S
            return False
        except BaseException:
            if self._late is None:
                self._late_at = 0.0  # another version lies there already
            raise
        self._late_at = 0.0
        return False

    def _on_signals(self, wake: int) -> None:
        try:
            numbers = os.read(wake, 4096)
        except BlockingIOError:
            numbers = b""
        self.system.reap(self.manager.on_exit)
        for number in numbers:
            goal = self._signals.get(number)
            if goal and not self.manager.goal:
                self.report(f"signal {number}: {goal}")
                self.manager.shut_down(goal)


def run_daemon(settings: Settings, console: Console) -> str:
    """Run a daemon until it is shut down; return the goal of the shutdown.

    Continues from the state that a previous program left. After a crash the program is re-executed
    if that may help; otherwise the exception is raised.
    """
    state = None
    if "ZINIT_STATE" in os.environ:
        from zinit.control.reexec import take_state

        state = take_state(settings.socket) or {}
    daemon = Daemon(settings, console)
    try:
        return daemon.run(state)
    except (FileExistsError, RefusedError):
        raise
    except BaseException as error:
        daemon.on_fault(error)
        if daemon.may_reexec():
            daemon.reexec()
        daemon.server.close()  # the next daemon in this process listens there
        raise


def run_container(settings: Settings) -> int:
    """Run as an ordinary process (`zinit init --container`); return the exit status."""
    open_standard("/dev/null")
    console = Console("/proc/self/fd/2")
    try:
        settings.enter_root()
        run_daemon(settings, console)
    except RefusedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except FileExistsError:
        sys.stderr.write(f"another zinit answers on {settings.socket}\n")
        return 1
    return 0
