"""The running process manager: puts loop, system, manager, outputs and server together."""

import gc
import os
import sys

from zinit.control.commands import Api
from zinit.control.server import Server
from zinit.files.folder import Folder
from zinit.files.signals import SIGCHLD, SIGHUP, SIGINT, SIGPWR, SIGTERM
from zinit.life.manager import POWEROFF, REBOOT, Manager
from zinit.log.console import Console, open_standard
from zinit.log.outputs import Outputs
from zinit.log.ring import Ring
from zinit.loop import Loop
from zinit.process.system import RANK, RealSystem, hold_signals, install_signals, release_signals

SHUTDOWN_SIGNALS = {SIGTERM: POWEROFF, SIGINT: POWEROFF, SIGHUP: POWEROFF}
PID1_SIGNALS = {SIGINT: REBOOT, SIGPWR: POWEROFF}  # the kernel sends SIGINT for ctrl-alt-del
GC_THRESHOLD = 10_000  # little here is cyclic: look for that rarely
SOCKET_RETRY_S = 5.0
FAULT_LIMIT = 20  # bugs within FAULT_WINDOW_S: the program is started anew
FAULT_WINDOW_S = 10.0


class Settings:
    """How a daemon runs."""

    __slots__ = ("console", "folder", "is_container", "ring_lines", "socket", "start_folder")

    def __init__(
        self,
        folder: str = "/etc/zinit",
        socket: str = "/run/zinit.sock",
        ring_lines: int = 2000,
        is_container: bool = False,
        console: str = "/dev/console",
    ) -> None:
        self.folder = folder
        self.socket = socket
        self.ring_lines = ring_lines
        self.is_container = is_container
        self.console = console  # where our own lines go
        self.start_folder = "/"  # what the program's own arguments are relative to

    def enter_root(self) -> None:
        """Go to `/`, where services start; what was named from elsewhere stays what it is."""
        try:
            self.start_folder = os.getcwd()
        except OSError:
            pass  # it is gone
        self.folder = os.path.normpath(os.path.join(self.start_folder, self.folder))
        self.socket = os.path.normpath(os.path.join(self.start_folder, self.socket))
        os.chdir("/")


class Daemon:
    """One process manager; `run` returns how it is to end."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self.settings = settings
        self.console = console
        self.report = console.say
        self.fault_times: list[float] = []
        self.rebirths: list[float] = []
        self.ring = Ring(settings.ring_lines)
        self.loop = Loop(self._now, self.on_fault)
        self.outputs = Outputs(self.loop, self.ring, console.write, self.report)
        self.system = RealSystem(self.outputs, self.loop, self.report, self.on_fault)
        self.folder = Folder(settings.folder, self.report)
        self.manager = Manager(self.system, self.folder.load)
        self.api = Api(self.manager, self.ring, self.folder)
        self.server = Server(self.loop, self.api)
        self.system.on_notify = self.manager.on_notify
        self._signals = SHUTDOWN_SIGNALS if settings.is_container else PID1_SIGNALS
        self._wake = -1
        self._retry_at = 0.0

    def run(self, state: "dict[str, object] | None" = None) -> str:
        """Start the services, or go on with them; serve until a shutdown is through.

        Returns the shutdown's goal. Raises FileExistsError if another daemon has our socket.
        """
        gc.set_threshold(GC_THRESHOLD)
        self._wake = wake = install_signals((SIGCHLD, *self._signals))
        self.loop.watch(wake, RANK, lambda _: self._on_signals(wake))
        if state is None:
            self._open_socket()
            self.load_folder()
        else:
            from zinit.control.reexec import restore

            restore(self, state)
            self.report(f"started anew with {len(self.manager.units)} services")
        self._on_signals(wake)  # what ended before the handler was there
        self.loop.run(self._next_time, self._turn)
        self.outputs.finish()
        self.server.close()
        return self.manager.goal

    def load_folder(self) -> None:
        """Monitor every service file there is."""
        self.manager.add(self.folder.load_all())
        self.api.loaded = self.system.now()
        self.manager.report_cycles()

    def start_anew(self) -> None:
        """Replace the program by itself, if that can be done; otherwise go on."""
        from zinit.control.reexec import become_anew

        signals = (SIGCHLD, *self._signals)
        try:
            hold_signals(signals, self._wake)
            become_anew(self)
        except OSError as error:
            self.report(f"cannot start anew: {error}")
        finally:
            release_signals(signals)

    def on_fault(self, error: BaseException) -> None:
        """A bug: tell it and go on; when there are too many, start the program anew."""
        try:
            self._tell_fault(error)
        except BaseException:
            self.console.write(b"zinit: internal error that can't be told, going on\n")
            return
        now = self.system.now()
        self.fault_times = [at for at in self.fault_times if now - at < FAULT_WINDOW_S]
        self.fault_times.append(now)
        if len(self.fault_times) > FAULT_LIMIT:
            from zinit.control.reexec import may_be_reborn

            self.fault_times.clear()
            if may_be_reborn(self):
                self.report("too many internal errors: starting anew")
                self.start_anew()

    def _tell_fault(self, error: BaseException) -> None:
        import traceback

        lines = traceback.format_exception(error)
        self.report("internal error, going on: " + "".join(lines)[-2000:].rstrip())

    def _open_socket(self) -> None:
        try:
            self.server.open(self.settings.socket)
        except FileExistsError:
            raise
        except OSError as error:
            self.report(f"cannot listen on {self.settings.socket}: {error}; trying again")
            self._retry_at = self.system.now() + SOCKET_RETRY_S

    def _now(self) -> float:
        return self.system.now()

    def _next_time(self) -> float | None:
        times = [self.manager.timers.next_time(), self.server.next_time()]
        times.append(self.outputs.next_time())
        if not self.server.is_open:
            times.append(self._retry_at)
        return min((at for at in times if at is not None), default=None)

    def _turn(self, now: float) -> bool:
        self.api.carry_on()
        self.manager.on_time(now)
        self.manager.launcher.work()
        self.outputs.turn(now)
        self.server.turn(now)
        if not self.server.is_open and now >= self._retry_at:
            self._retry_at = now + SOCKET_RETRY_S
            self._open_socket()
        if self.api.wants_reexec:
            self.api.wants_reexec = False
            self.start_anew()
        if self.manager.is_finished:
            self.loop.is_running = False
        return self.manager.launcher.has_work

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
    """Run a daemon to its end, through crashes of the manager; return its shutdown's goal.

    Goes on with the state of the program before this one, if that left some.
    """
    state = None
    if "ZINIT_STATE" in os.environ:
        from zinit.control.reexec import take_state

        state = take_state()
    daemon = Daemon(settings, console)
    try:
        return daemon.run(state)
    except FileExistsError:
        raise
    except BaseException as error:
        daemon.on_fault(error)
        from zinit.control.reexec import may_be_reborn

        if may_be_reborn(daemon):
            daemon.start_anew()
        daemon.server.close()  # whoever comes next in this process listens there
        raise


def run_container(settings: Settings) -> int:
    """Run as an ordinary process (`zinit init --container`); return the exit status."""
    open_standard("/dev/null")
    console = Console("/proc/self/fd/2")
    try:
        settings.enter_root()
        run_daemon(settings, console)
    except FileExistsError:
        sys.stderr.write(f"another zinit answers on {settings.socket}\n")
        return 1
    return 0
