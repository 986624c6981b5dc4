"""The running process manager: puts loop, system, manager, outputs and server together."""

import os
import sys

from zinit.api import Api
from zinit.config import parse_service
from zinit.loop import Loop
from zinit.manager import POWEROFF, REBOOT, Manager
from zinit.nodes import ConfigError
from zinit.outputs import Outputs
from zinit.ring import Ring
from zinit.server import Server
from zinit.signals import SIGCHLD, SIGHUP, SIGINT, SIGPWR, SIGTERM
from zinit.system import RANK, RealSystem, install_signals
from zinit.units import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.config import Service

FILE_LIMIT = 1 << 20
SHUTDOWN_SIGNALS = {SIGTERM: POWEROFF, SIGINT: POWEROFF, SIGHUP: POWEROFF}
PID1_SIGNALS = {SIGINT: REBOOT, SIGPWR: POWEROFF}  # the kernel sends SIGINT for ctrl-alt-del


class Settings:
    """How a daemon runs."""

    __slots__ = ("console", "folder", "is_container", "ring_lines", "socket")

    def __init__(
        self,
        folder: str = "/etc/zinit",
        socket: str = "/run/zinit.sock",
        ring_lines: int = 2000,
        is_container: bool = False,
        console: int = 2,
    ) -> None:
        self.folder = folder
        self.socket = socket
        self.ring_lines = ring_lines
        self.is_container = is_container
        self.console = console  # the descriptor for our own lines


class Daemon:
    """One process manager; `run` returns how it is to end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ring = Ring(settings.ring_lines)
        self.loop = Loop(self._now, self._on_fault)
        self.outputs = Outputs(self.loop, self.ring, self._write_console, self.report)
        self.system = RealSystem(self.outputs, self.loop, self.report, self._on_fault)
        self.manager = Manager(self.system, self.load)
        self.api = Api(self.manager, self.ring, settings.folder)
        self.server = Server(self.loop, self.api)
        self.system.on_notify = self.manager.on_notify
        self._signals = SHUTDOWN_SIGNALS if settings.is_container else PID1_SIGNALS

    def run(self) -> str:
        """Start the services and serve until a shutdown is through; return its goal."""
        wake = install_signals((SIGCHLD, *self._signals))
        self.loop.watch(wake, RANK, lambda _: self._on_signals(wake))
        try:
            self.server.open(self.settings.socket)
        except FileExistsError:
            raise
        except OSError as error:
            self.report(f"cannot listen on {self.settings.socket}: {error}")
        self.load_folder()
        self._on_signals(wake)  # what ended before the handler was there
        self.loop.run(self._next_time, self._turn)
        self.server.close()
        return self.manager.goal

    def load(self, name: str) -> "Service":
        """Read the service file of `name`."""
        if not name or "/" in name or "\0" in name or name in (".", ".."):
            raise ConfigError(f"{name!r} is no service name")
        path = f"{self.settings.folder}/{name}.yaml"
        with open(path, "rb") as stream:
            data = stream.read(FILE_LIMIT)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise ConfigError("not UTF-8") from None
        service, warnings = parse_service(name, text)
        for warning in warnings:
            self.report(f"{path}: {warning}")
        return service

    def load_folder(self) -> None:
        """Monitor every service file there is; a bad one is told and left out."""
        try:
            with os.scandir(self.settings.folder) as entries:
                names = sorted(
                    entry.name[:-5]
                    for entry in entries
                    if entry.name.endswith(".yaml") and entry.is_file(follow_symlinks=False)
                )
        except OSError as error:
            self.report(f"cannot read {self.settings.folder}: {error.strerror}")
            return
        services = []
        for name in names:
            try:
                services.append(self.load(name))
            except (OSError, ConfigError) as error:
                self.report(f"{self.settings.folder}/{name}.yaml is left out: {error}")
        self.system.reserve_files(len(services))
        self.manager.add(services)
        self.manager.report_cycles()

    def report(self, text: str) -> None:
        """Say something on the console."""
        self._write_console(f"zinit: {text}\n".encode(errors="replace"))

    def _write_console(self, data: bytes) -> None:
        try:
            os.write(self.settings.console, data)
        except OSError:
            pass  # a console that hangs or is gone must not hold anything up

    def _now(self) -> float:
        return self.system.now()

    def _next_time(self) -> float | None:
        times = (self.manager.timers.next_time(), self.server.next_time())
        return min((at for at in times if at is not None), default=None)

    def _turn(self, now: float) -> bool:
        self.manager.on_time(now)
        self.manager.work()
        self.server.turn(now)
        if self.manager.is_finished:
            self.loop.is_running = False
        return self.manager.has_work

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

    def _on_fault(self, error: BaseException) -> None:
        """A bug in a handler: tell it, go on."""
        if isinstance(error, CommandError):
            return
        import traceback

        lines = traceback.format_exception(error)
        self.report("internal error, going on: " + "".join(lines)[-2000:].rstrip())


def run_container(settings: Settings) -> int:
    """Run as an ordinary process (`zinit init --container`); return the exit status."""
    daemon = Daemon(settings)
    try:
        daemon.run()
    except FileExistsError:
        sys.stderr.write(f"another zinit answers on {settings.socket}\n")
        return 1
    return 0
