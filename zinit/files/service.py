"""Service files: the text of one `NAME.yaml` becomes one `Service`.

Upstream's keys, types and refusals are kept exactly: scalars are text whatever they look like, a
key given twice, a wrong type or a bad signal refuses the whole file, and an unknown key is ignored
(here with a warning). Our own keys are all optional. Pure: text in, `Service` out.
"""

from zinit.files import values
from zinit.files.nodes import ConfigError, Node, parse_yaml
from zinit.files.signals import parse_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ALWAYS = "always"
ON_FAILURE = "on-failure"
NEVER = "never"
LOG_KINDS = ("ring", "stdout", "none", "console")


class Service:
    """What a service file says. Attributes that `reload` may change under a running process are
    in `LIVE`; any other change restarts it.
    """

    __slots__ = (
        "after", "capabilities", "cgroup", "dir", "env", "exec", "group", "groups", "kill_cgroup",
        "limits", "liveness", "liveness_interval_s", "liveness_misses", "liveness_timeout_s",
        "log", "log_file", "log_keep", "log_size_bytes", "name", "netns", "no_new_privileges",
        "oneshot", "probe_interval_s", "probe_timeout_s", "ready", "ready_fd", "reload",
        "requires", "restart", "restart_delay_s", "restart_factor", "restart_limit",
        "restart_max_delay_s", "restart_window_s", "root", "start_timeout_s", "stop_signal",
        "stop_timeout_s", "test", "tty", "user", "wants", "watchdog_s",
    )  # fmt: skip

    LIVE = frozenset((
        "after", "liveness", "liveness_interval_s", "liveness_misses", "liveness_timeout_s",
        "probe_interval_s", "probe_timeout_s", "reload", "requires", "restart", "restart_delay_s",
        "restart_factor", "restart_limit", "restart_max_delay_s", "restart_window_s",
        "start_timeout_s", "stop_signal", "stop_timeout_s", "test", "wants",
    ))  # fmt: skip

    def __init__(self, name: str, command: str = "") -> None:
        self.name = name
        self.exec = command
        self.test = ""
        self.oneshot = False
        self.after: tuple[str, ...] = ()
        self.requires: tuple[str, ...] = ()
        self.wants: tuple[str, ...] = ()
        self.stop_signal = 15
        self.stop_timeout_s = 10.0
        self.start_timeout_s = 0.0  # 0: no limit
        self.env: dict[str, str] = {}
        self.dir = ""
        self.root = ""
        self._set_log_and_readiness()
        self._set_restart()
        self._set_isolation()

    def _set_log_and_readiness(self) -> None:
        self.log = "ring"
        self.log_file = ""
        self.log_size_bytes = 1 << 20
        self.log_keep = 3
        self.ready = ""  # "", "notify" or "fd"
        self.ready_fd = -1
        self.probe_interval_s = 2.0
        self.probe_timeout_s = 0.0  # 0: no limit
        self.liveness = ""
        self.liveness_interval_s = 10.0
        self.liveness_timeout_s = 10.0
        self.liveness_misses = 3
        self.watchdog_s = 0.0  # 0: none
        self.reload = ""  # a command, or a signal's name

    def _set_restart(self) -> None:
        self.restart = ""  # ALWAYS, ON_FAILURE, NEVER; "": ALWAYS, for a oneshot NEVER
        self.restart_delay_s = 2.0
        self.restart_max_delay_s = 60.0
        self.restart_factor = 1.0
        self.restart_limit = 0  # 0: no limit
        self.restart_window_s = 60.0

    def _set_isolation(self) -> None:
        self.user = ""
        self.group = ""
        self.groups: tuple[str, ...] = ()
        self.limits: dict[str, tuple[int, int]] = {}
        self.capabilities: tuple[str, ...] | None = None
        self.no_new_privileges = False
        self.cgroup: dict[str, str] | None = None  # file in the group's folder -> what to write
        self.kill_cgroup = False
        self.tty = ""
        self.netns = ""

    @property
    def edges(self) -> tuple[str, ...]:
        """The names it starts after, whatever the kind."""
        return self.after + self.requires + self.wants

    @property
    def restart_policy(self) -> str:
        """When it is started again by itself."""
        return self.restart or (NEVER if self.oneshot else ALWAYS)

    @property
    def is_plain(self) -> bool:
        """Whether `posix_spawn` can do all that it wants."""
        return not (
            self.root
            or self.user
            or self.group
            or self.groups
            or self.limits
            or self.capabilities is not None
            or self.no_new_privileges
            or self.cgroup is not None
            or self.tty
            or self.netns
        )

    def differing(self, other: "Service") -> set[str]:
        """Return the attributes in which `other` differs."""
        return {name for name in self.__slots__ if getattr(self, name) != getattr(other, name)}


def parse_service(name: str, text: str) -> tuple[Service, list[str]]:
    """Return the service that `text` describes and warnings; raises `ConfigError`."""
    top = parse_yaml(text)
    service = Service(name)
    warnings = []
    for key, node in values.read_map(top).items():
        reader = KEYS.get(key) or own_reader(key)
        if reader is None:
            warnings.append(f"line {node.line}: unknown key {key!r} is ignored")
        else:
            reader(service, node)
    if not service.exec:
        raise ConfigError("exec is missing or empty", top.line)
    return service, warnings


def own_reader(key: str) -> "Callable[[Service, Node], None] | None":
    """Return the reader of one of our own keys."""
    from zinit.files.keys import KEYS as OWN_KEYS

    return OWN_KEYS.get(key)


def keep(attribute: str, read: "Callable[[Node], object]") -> "Callable[[Service, Node], None]":
    """Return what sets `attribute` to the value that `read` makes of a node."""

    def keep_value(service: Service, node: Node) -> None:
        setattr(service, attribute, read(node))

    return keep_value


def read_shutdown_timeout(node: Node) -> float:
    """Return upstream's kind of time-out."""
    return float(values.read_whole(node, "a whole number of seconds"))


def set_signal(service: Service, node: Node) -> None:
    for key, item in values.read_map(node).items():
        if key == "stop":
            try:
                service.stop_signal = parse_signal(values.read_text(item))
            except ValueError as error:
                raise ConfigError(str(error), item.line) from None


def set_log(service: Service, node: Node) -> None:
    if isinstance(node.value, dict):
        from zinit.files.keys import set_log_file

        set_log_file(service, node)
    else:
        service.log = values.read_choice(node, LOG_KINDS)


def set_env(service: Service, node: Node) -> None:
    entries = values.read_map(node)
    service.env = {key: values.read_text(item) for key, item in entries.items()}
    for key, item in entries.items():
        if not key or "=" in key or "\0" in key:
            raise ConfigError(f"{key!r} can't be a variable's name", item.line)


KEYS: "dict[str, Callable[[Service, Node], None]]" = {
    "exec": keep("exec", values.read_text),
    "test": keep("test", values.read_text),
    "oneshot": keep("oneshot", values.read_bool),
    "after": keep("after", values.read_names),
    "shutdown_timeout": keep("stop_timeout_s", read_shutdown_timeout),
    "signal": set_signal,
    "log": set_log,
    "env": set_env,
    "dir": keep("dir", values.read_text),
}
