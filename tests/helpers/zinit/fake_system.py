"""A system without processes: a clock that only tests move, children that end when told to."""

from collections.abc import Sequence

from zinit.files.nodes import ConfigError
from zinit.files.reading import parse_service
from zinit.files.service import Service
from zinit.files.signals import SIGCONT
from zinit.life.manager import Manager
from zinit.life.unit import Launch


class FakeSystem:
    """What a manager did, in order, and the levers to answer it."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.running: dict[int, str] = {}  # pid -> label
        self.events: list[str] = []
        self.reports: list[str] = []
        self.obeys = True  # SIGTERM ends a process at once
        self.refuse: dict[str, OSError] = {}  # label -> what its spawn raises
        self._next_pid = 100
        self.ended: list[tuple[int, int]] = []

    def now(self) -> float:
        return self.time

    def reserve_files(self, services: int) -> None:
        pass

    def spawn(self, launches: Sequence[Launch]) -> list[int | Exception]:
        return [self._spawn(launch) for launch in launches]

    def _spawn(self, launch: Launch) -> int | Exception:
        if launch.label in self.refuse:
            return self.refuse[launch.label]
        self._next_pid += 1
        self.running[self._next_pid] = launch.label
        self.events.append(f"spawn {launch.label}")
        return self._next_pid

    def kill_group(self, pid: int, number: int) -> None:
        if number == SIGCONT:
            return
        self.events.append(f"signal {self.running[pid]} {number}")
        if number == 9 or (self.obeys and number == 15):
            self.end(pid, number)

    def kill_cgroup(self, service: Service) -> None:
        self.events.append(f"kill cgroup {service.name}")

    def fault(self, error: BaseException) -> None:
        raise AssertionError("a bug in the manager") from error

    def report(self, text: str) -> None:
        self.reports.append(text)

    def end(self, pid: int, status: int) -> None:
        """Let a process end with a wait status; the manager hears of it at the next settle."""
        label = self.running.pop(pid, None)
        if label is not None:
            self.events.append(f"end {label}")
            self.ended.append((pid, status))

    def pid_of(self, label: str) -> int:
        """Return the pid that runs as `label`."""
        return next(pid for pid, name in self.running.items() if name == label)


class World:
    """A manager on a fake system, with the words that tests want."""

    def __init__(self, **files: str) -> None:
        self.system = FakeSystem()
        self.files = dict(files)
        self.manager = Manager(self.system, self.load)

    def load(self, name: str) -> Service:
        if name not in self.files:
            raise ConfigError("no such file")
        return parse_service(name, self.files[name])[0]

    def boot(self) -> None:
        """Monitor every file."""
        self.manager.add([self.load(name) for name in self.files])
        self.settle()

    def settle(self) -> None:
        """Do all work that needs no time to speak of."""
        for _ in range(100_000):
            if self.system.ended:
                self.manager.on_exit(*self.system.ended.pop(0))
            elif self.manager.launcher.has_work:
                self.manager.launcher.work()
            elif (
                at := self.manager.timers.next_time()
            ) is not None and at <= self.system.time + 0.01:
                self.system.time = max(at, self.system.time)
                self.manager.on_time(self.system.time)
            else:
                return
        raise AssertionError("the manager never comes to rest")

    def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.system.time + seconds
        while (at := self.manager.timers.next_time()) is not None and at <= end:
            self.system.time = max(at, self.system.time)
            self.manager.on_time(self.system.time)
            self.settle()
        self.system.time = end

    def end(self, label: str, status: int = 0) -> None:
        """End the process that runs as `label`."""
        self.system.end(self.system.pid_of(label), status)
        self.settle()

    def do(self, command: str, *words: str) -> None:
        """Call a command of the manager, then settle."""
        getattr(self.manager, command)(*words)
        self.settle()

    def ready(self, name: str) -> None:
        """Let a service say that it is ready."""
        self.tell(name, b"READY=1")

    def tell(self, name: str, *lines: bytes) -> None:
        """Let a service say something over its readiness channel."""
        self.manager.on_notify(name, self.system.pid_of(name), list(lines))
        self.settle()

    def state(self, name: str) -> str:
        """Return the shown state."""
        return self.manager.find(name).record.shown

    @property
    def states(self) -> dict[str, str]:
        """Every shown state."""
        return self.manager.list_states()

    @property
    def labels(self) -> list[str]:
        """What runs."""
        return sorted(self.system.running.values())

    def happened(self) -> list[str]:
        """Return what was done since the last call."""
        events, self.system.events = self.system.events, []
        return events
