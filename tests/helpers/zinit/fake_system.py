"""A system without processes: tests move its clock and end its children."""

from collections.abc import Sequence
from typing import Any

from zinit.files.nodes import ConfigError
from zinit.files.reading import parse_service
from zinit.files.service import Service
from zinit.files.signals import SIGCONT
from zinit.life import reloading
from zinit.life.manager import Manager
from zinit.life.unit import Launch


class FakeSystem:
    """Records what a manager does, in order; tests set how it reacts."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.running: dict[int, str] = {}  # pid -> label
        self.events: list[str] = []
        self.reports: list[str] = []
        self.forgotten: list[str] = []
        self.notes: list[str] = []  # lines of zinit in the logs of services
        self.obeys = True  # SIGTERM ends a process at once
        self.left: set[int] = set()  # process groups whose leader has ended
        self.refuse: dict[str, OSError] = {}  # label -> error of its spawn
        self.last_pid = 100
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
        self.last_pid += 1
        self.running[self.last_pid] = launch.label
        self.events.append(f"spawn {launch.label}")
        return self.last_pid

    def kill_group(self, pid: int, number: int) -> None:
        if number == SIGCONT:
            return
        self.events.append(f"signal {self.running.get(pid, 'group')} {number}")
        if number == 9:
            self.left.discard(pid)
        if number == 9 or (self.obeys and number == 15):
            self.end(pid, number)

    def has_group(self, pid: int) -> bool:
        return pid in self.left

    def kill_cgroup(self, service: Service) -> None:
        self.events.append(f"kill cgroup {service.name}")

    def forget(self, service: Service) -> None:
        self.forgotten.append(service.name)

    def fault(self, error: BaseException) -> None:
        raise AssertionError("a bug in the manager") from error

    def report(self, text: str) -> None:
        self.reports.append(text)

    def note(self, name: str, text: str) -> None:
        self.notes.append(f"{name}: {text}")

    def end(self, pid: int, status: int) -> None:
        """End a process with a wait status; the manager learns of it at the next settle."""
        label = self.running.pop(pid, None)
        if label is not None:
            self.events.append(f"end {label}")
            self.ended.append((pid, status))

    def pid_of(self, label: str) -> int:
        """Return the pid that runs as `label`."""
        return next(pid for pid, name in self.running.items() if name == label)


class FakeFolder:
    """A folder whose service files are a dictionary."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def names(self) -> list[str]:
        return sorted(self._files)

    def load(self, name: str) -> Service:
        if name not in self._files:
            raise FileNotFoundError(2, "No such file", name)
        return parse_service(name, self._files[name])[0]


class World:
    """A manager on a fake system, with the verbs that tests need."""

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
        """Do all work that takes no time."""
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
        raise AssertionError("the manager does not settle")

    def advance(self, seconds: float) -> None:
        """Move the clock, timer by timer."""
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

    def reload(self) -> dict[str, Any]:
        """Follow the changes in `files`, as `zinit reload` does."""
        folder: Any = FakeFolder(self.files)
        done = reloading.reload(self.manager, folder)
        self.settle()
        return done

    def ready(self, name: str) -> None:
        """Send the readiness notification of a service."""
        self.tell(name, b"READY=1")

    def tell(self, name: str, *lines: bytes) -> None:
        """Send lines over the readiness channel of a service."""
        self.manager.on_notify(name, self.system.pid_of(name), list(lines))
        self.settle()

    def state(self, name: str) -> str:
        """Return the state that clients see."""
        return str(self.manager.find(name).record.outcome)

    @property
    def states(self) -> dict[str, str]:
        """The states of all services, as clients see them."""
        return self.manager.list_states()

    @property
    def labels(self) -> list[str]:
        """The labels of all processes, sorted."""
        return sorted(self.system.running.values())

    def happened(self) -> list[str]:
        """Return what happened since the last call."""
        events, self.system.events = self.system.events, []
        return events
