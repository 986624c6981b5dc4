"""The daemon as its commands see it, whatever protocol a client speaks."""

import time

from zinit.files.nodes import ConfigError
from zinit.life.manager import POWEROFF, REBOOT
from zinit.life.unit import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from zinit.control.jobs import Job, Jobs, Steps
    from zinit.files.folder import Folder
    from zinit.life.manager import Manager
    from zinit.log.ring import Ring
    from zinit.process.stats import Processes


class Api:
    """Everything that commands act on, and what they ask of the daemon's next turn."""

    def __init__(self, manager: "Manager", ring: "Ring", folder: "Folder") -> None:
        self.manager = manager
        self.ring = ring
        self.folder = folder
        self.now: Callable[[], float] = manager.system.now
        self.started = self.now()
        self.loaded = 0.0  # when all services of the boot were known
        self.jobs: Jobs | None = None  # imported when they are needed, as is the next
        self._processes: Processes | None = None
        self.wants_reexec = False
        self.open_http: Callable[[str], str] = no_http  # set by the server
        self.close_http: Callable[[], bool] = lambda: False
        self.try_program: Callable[[], str] = lambda: ""  # set by the daemon
        self.reopen_logs: Callable[[], None] = lambda: None  # set by the daemon
        self.goal = ""  # the shutdown to begin once its reply has been sent

    def dump(self) -> "dict[str, object]":
        """Return the times that `analyze` needs, and which files were refused."""
        refused = self.folder.refused
        return {"started": self.started, "loaded": self.loaded, "refused": refused}

    def restore(self, state: "dict[str, Any]") -> None:
        """Continue with what `dump` returned."""
        self.started = float(state["started"])
        self.loaded = float(state["loaded"])
        self.folder.refused.update(state.get("refused", {}))  # older versions have none

    def status(self, name: str) -> "dict[str, object]":
        """Return what `zinit status` prints, and `reason` if there is something to explain."""
        status = self.manager.status(name)
        reason = self._find_reason(name)
        return {**status, "reason": reason} if reason else status

    def explain(self, name: str) -> str:
        """Return why a service, or a file that is not used, is not up; raises CommandError."""
        reason = self._find_reason(name)
        if not reason:
            self.manager.find(name)
        return reason

    def _find_reason(self, name: str) -> str:
        unit = self.manager.units.get(name)
        own = unit.record.reason if unit else ""
        refused = self.folder.refused.get(name)
        return "; ".join(filter(None, (own, refused and f"its file is refused: {refused}")))

    def monitor(self, name: str) -> None:
        """Load a service file and start the service; clients get one text for every failure."""
        try:
            self.manager.monitor(name)
        except (OSError, ConfigError) as error:
            self.manager.system.report(f"cannot load {name}: {error}")
            raise CommandError("config", "failed to load service config") from None

    def order_shutdown(self) -> None:
        """Stop all services and power off, after the reply."""
        self._order(POWEROFF)

    def order_reboot(self) -> None:
        """Stop all services and reboot, after the reply."""
        self._order(REBOOT)

    def order_reexec(self) -> None:
        """Test the program, and re-execute it after the reply."""
        fault = self.try_program()
        if fault:
            raise CommandError("reexec", f"cannot re-execute: {fault}")
        self.wants_reexec = True

    def _order(self, goal: str) -> None:
        if self.manager.goal or self.goal:
            raise CommandError("shutdown", "zinit is shutting down")
        self.goal = goal

    def begin_shutdown(self) -> None:
        """Begin the shutdown that was ordered, if one was."""
        goal, self.goal = self.goal, ""
        if goal and not self.manager.goal:
            self.manager.shut_down(goal)

    def reload_folder(self) -> "Job":
        """Apply changed service files; the job returns the names by what was done with them."""
        self._refuse_in_shutdown()
        self.reopen_logs()
        return self._begin("reload", "", self._reload)

    def _begin(self, lane: str, name: str, make: "Callable[[], Steps]") -> "Job":
        if self.jobs is None:
            from zinit.control.jobs import Jobs

            self.jobs = Jobs()
        return self.jobs.begin(lane, name, make)

    def work(self) -> bool:
        """Run jobs for a slice of time; return whether there is more to do."""
        return self.jobs is not None and self.jobs.turn()

    def _reload(self) -> "Steps":
        from zinit.life.reloading import follow

        steps = follow(self.manager, self.folder)
        try:
            while True:
                self._refuse_in_shutdown()
                next(steps)
                yield
        except StopIteration as end:
            return end.value
        except OSError as error:
            text = f"cannot read {self.folder.path}: {error.strerror}"
            raise CommandError("folder", text) from None

    def _refuse_in_shutdown(self) -> None:
        if self.manager.goal:
            raise CommandError("shutdown", "zinit is shutting down")

    def measure_stats(self, name: str) -> "Job":
        """Measure the memory and CPU use of a service and its descendants."""
        self._find_process(name)
        return self._begin("stats", name, lambda: self._measure(name))

    def _measure(self, name: str) -> "Steps":
        if self._processes is None:
            from zinit.process.stats import Processes

            self._processes = Processes()
        use = yield from self._processes.describe(self._find_process(name))
        return {"name": name, **use}

    def _find_process(self, name: str) -> int:
        record = self.manager.find(name).record
        if not record.has_process:
            raise CommandError("down", f'service "{name}" is down')
        return record.pid

    def analyze(self) -> "dict[str, object]":
        """Return when each service reached each stage, in seconds since the kernel's start."""
        now = self.now()
        shift = time.clock_gettime(time.CLOCK_BOOTTIME) - now
        services = {
            name: {
                **{stage: round(at + shift, 6) for stage, at in unit.times.items()},
                "after": list(unit.record.service.edges),
            }
            for name, unit in self.manager.units.items()
        }
        times = {"started": self.started, "loaded": self.loaded or now, "now": now}
        rounded = {name: round(at + shift, 6) for name, at in times.items()}
        return {**rounded, "services": services}

    def start_http(self, address: str) -> str:
        """Serve JSON-RPC over HTTP; return a text for the user that holds the token."""
        try:
            token = self.open_http(address)
        except OSError as error:
            raise CommandError(
                "http", f"cannot serve HTTP on {address}: {error.strerror}"
            ) from None
        return f"HTTP server started at {address}; Authorization: Bearer {token}"

    def stop_http(self) -> None:
        """Stop serving HTTP; raises CommandError if it is not served."""
        if not self.close_http():
            raise CommandError("http", "the HTTP server is not running")


def no_http(address: str) -> str:
    """Stand in until there is a server."""
    raise OSError(22, "there is no server", address)
