"""What clients may ask of a daemon, whatever protocol they speak."""

import time

from zinit.files.nodes import ConfigError
from zinit.life.manager import POWEROFF, REBOOT
from zinit.life.unit import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.files.folder import Folder
    from zinit.life.manager import Manager
    from zinit.log.ring import Ring


class Api:
    """The daemon as its clients see it."""

    def __init__(self, manager: "Manager", ring: "Ring", folder: "Folder") -> None:
        self.manager = manager
        self.ring = ring
        self.folder = folder
        self.now: Callable[[], float] = manager.system.now
        self.started = self.now()
        self.loaded = 0.0  # when the services of the boot were all known
        self.wants_reexec = False
        self.open_http: Callable[[str], str] = no_http  # the server's, when there is one
        self.close_http: Callable[[], None] = lambda: None
        self.goal = ""  # the shutdown that is to begin when its reply is on its way

    def monitor(self, name: str) -> None:
        """Load a service file and start the service; one reason for all that may be wrong."""
        try:
            self.manager.monitor(name)
        except (OSError, ConfigError) as error:
            self.manager.system.report(f"cannot load {name}: {error}")
            raise CommandError("config", "failed to load service config") from None

    def order_shutdown(self) -> None:
        """Stop everything and power off, after the reply."""
        self._order(POWEROFF)

    def order_reboot(self) -> None:
        """Stop everything and reboot, after the reply."""
        self._order(REBOOT)

    def order_reexec(self) -> None:
        """Replace the running program by itself, after the reply."""
        self.wants_reexec = True

    def _order(self, goal: str) -> None:
        if self.manager.goal or self.goal:
            raise CommandError("shutdown", "zinit is shutting down")
        self.goal = goal

    def carry_on(self) -> None:
        """Begin the shutdown that was ordered."""
        goal, self.goal = self.goal, ""
        if goal and not self.manager.goal:
            self.manager.shut_down(goal)

    def reload(self, name: str = "") -> object:
        """Follow the service folder, or let one service read its own configuration."""
        from zinit.life.reloading import reload

        if name:
            self.manager.reload_service(name)
            return None
        if self.manager.goal:
            raise CommandError("shutdown", "zinit is shutting down")
        try:
            return reload(self.manager, self.folder)
        except OSError as error:
            text = f"cannot read {self.folder.path}: {error.strerror}"
            raise CommandError("config", text) from None

    def analyze(self) -> "dict[str, object]":
        """Return when each service got where; seconds since the kernel's start."""
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
        """Serve JSON-RPC over HTTP; returns what to tell the user, the token included."""
        try:
            token = self.open_http(address)
        except OSError as error:
            raise CommandError(
                "http", f"cannot serve HTTP on {address}: {error.strerror}"
            ) from None
        return f"HTTP server started at {address}; Authorization: Bearer {token}"

    def stop_http(self) -> None:
        """End what `start_http` began."""
        self.close_http()


def no_http(address: str) -> str:
    """Stand in until there is a server."""
    raise OSError(22, "there is no server", address)
