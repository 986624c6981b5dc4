"""The keys of a service file, and `Service`, the value that they set."""

ALWAYS = "always"
ON_FAILURE = "on-failure"
NEVER = "never"

# When a changed value takes effect.
LIVE = "live"  # at once, under the running process
START = "start"  # at the next start
FORK = "fork"  # at the next start; posix_spawn cannot do it unless the value is the default

# The one table of keys: key, attribute of `Service`, kind of value, effect, default.
#
# `restart.delay` is the entry `delay` of a mapping under `restart`. A key with several rows sets
# several attributes; an attribute with several rows can be set by each of their keys. For each
# kind, `values.READERS` or `special.READERS` has the function that reads it. The defaults are
# shared by all services, so nothing may change a value in place.
KEYS: "tuple[tuple[str, str, str, str, object], ...]" = (
    ("exec", "exec", "text", START, ""),
    ("oneshot", "oneshot", "bool", START, False),
    ("env", "env", "variables", START, {}),
    ("dir", "dir", "text", START, ""),
    ("root", "root", "path", FORK, ""),
    ("after", "after", "names", LIVE, ()),
    ("requires", "requires", "names", LIVE, ()),
    ("wants", "wants", "names", LIVE, ()),
    ("test", "test", "text", LIVE, ""),
    ("probe.interval", "probe_interval_s", "period", LIVE, 2.0),
    ("probe.timeout", "probe_timeout_s", "period", LIVE, 0.0),  # 0: no limit
    ("ready", "ready", "ready", START, ""),  # "", "notify" or "fd"
    ("ready", "ready_fd", "ready_fd", START, -1),
    ("start_timeout", "start_timeout_s", "period", LIVE, 0.0),  # 0: no limit
    ("liveness.test", "liveness", "words", LIVE, ""),
    ("liveness.interval", "liveness_interval_s", "period", LIVE, 10.0),
    ("liveness.timeout", "liveness_timeout_s", "period", LIVE, 10.0),
    ("liveness.failures", "liveness_misses", "count", LIVE, 3),
    ("watchdog", "watchdog_s", "period", START, 0.0),  # 0: none
    ("restart", "restart", "policy", LIVE, ""),  # "": ALWAYS, or NEVER for a oneshot
    ("restart.policy", "restart", "policy", LIVE, ""),
    ("restart.delay", "restart_delay_s", "seconds", LIVE, 2.0),
    ("restart.factor", "restart_factor", "factor", LIVE, 1.0),
    ("restart.max_delay", "restart_max_delay_s", "seconds", LIVE, 60.0),
    ("restart.limit", "restart_limit", "up_to_1000", LIVE, 0),  # 0: no limit
    ("restart.window", "restart_window_s", "period", LIVE, 60.0),
    ("signal.stop", "stop_signal", "signal", LIVE, 15),
    ("shutdown_timeout", "stop_timeout_s", "whole_seconds", LIVE, 10.0),
    ("stop_timeout", "stop_timeout_s", "seconds", LIVE, 10.0),
    ("reload", "reload", "reload", LIVE, ""),  # a command, or the name of a signal
    ("log", "log", "log", START, "ring"),  # "ring", "stdout", "none", "console" or "file"
    ("log.file", "log_file", "path", START, ""),
    ("log.size", "log_size_bytes", "bytes", START, 1 << 20),
    ("log.keep", "log_keep", "up_to_1000", START, 3),
    ("tty", "tty", "path", FORK, ""),
    ("user", "user", "words", FORK, ""),
    ("group", "group", "words", FORK, ""),
    ("groups", "groups", "names", FORK, ()),
    ("limits", "limits", "limits", FORK, {}),
    ("capabilities", "capabilities", "capabilities", FORK, None),
    ("no_new_privileges", "no_new_privileges", "bool", FORK, False),
    ("cgroup", "cgroup", "cgroup", FORK, None),
    ("cgroup", "kill_cgroup", "kill_cgroup", START, False),
    ("netns", "netns", "namespace", FORK, ""),
)
DEFAULTS = {attribute: default for _, attribute, _, _, default in KEYS}
LIVE_ATTRIBUTES = frozenset(row[1] for row in KEYS if row[3] == LIVE)
FORK_ATTRIBUTES = frozenset(row[1] for row in KEYS if row[3] == FORK)
FORK_DEFAULTS = [DEFAULTS[attribute] for attribute in FORK_ATTRIBUTES]


class Service:
    """What a service file says. The table `KEYS` has the attributes, their types are here."""

    __slots__ = ("name", *DEFAULTS)

    name: str
    exec: str
    oneshot: bool
    env: dict[str, str]
    dir: str
    root: str
    after: tuple[str, ...]
    requires: tuple[str, ...]
    wants: tuple[str, ...]
    test: str
    probe_interval_s: float
    probe_timeout_s: float
    ready: str
    ready_fd: int
    start_timeout_s: float
    liveness: str
    liveness_interval_s: float
    liveness_timeout_s: float
    liveness_misses: int
    watchdog_s: float
    restart: str
    restart_delay_s: float
    restart_factor: float
    restart_max_delay_s: float
    restart_limit: int
    restart_window_s: float
    stop_signal: int
    stop_timeout_s: float
    reload: str
    log: str
    log_file: str
    log_size_bytes: int
    log_keep: int
    tty: str
    user: str
    group: str
    groups: tuple[str, ...]
    limits: dict[str, tuple[int, int]]  # -1: unlimited
    capabilities: tuple[str, ...] | None
    no_new_privileges: bool
    cgroup: dict[str, str] | None  # file in the group's folder -> what to write
    kill_cgroup: bool
    netns: str

    def __init__(self, name: str, command: str = "") -> None:
        for attribute, default in DEFAULTS.items():
            setattr(self, attribute, default)
        self.name = name
        self.exec = command

    @property
    def edges(self) -> tuple[str, ...]:
        """The names of all services that this one waits for."""
        return self.after + self.requires + self.wants

    @property
    def restart_policy(self) -> str:
        """When the service is restarted after it has ended by itself."""
        return self.restart or (NEVER if self.oneshot else ALWAYS)

    @property
    def is_plain(self) -> bool:
        """Whether `posix_spawn` can start the service; otherwise it takes a fork."""
        return [getattr(self, name) for name in FORK_ATTRIBUTES] == FORK_DEFAULTS

    def differing(self, other: "Service") -> set[str]:
        """Return the attributes in which `other` differs."""
        return {name for name in self.__slots__ if getattr(self, name) != getattr(other, name)}

    def dump(self) -> "dict[str, object]":
        """Return all attributes by name, as JSON can hold them."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def restore(cls, fields: "dict[str, object]") -> "Service":
        """Return the service that `dump` described, in this version or another one.

        Unknown fields are ignored; missing ones keep their defaults.
        """
        service = cls(str(fields["name"]))
        for name in DEFAULTS:
            if name in fields:
                setattr(service, name, restore_tuples(fields[name]))
        return service


def restore_tuples(value: object) -> object:
    """Return a value from JSON with its lists, which were tuples, as tuples again."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        return {key: restore_tuples(item) for key, item in value.items()}
    return value
