"""The keys that upstream does not have; imported when a file uses one."""

from zinit.files import service as config
from zinit.files import values
from zinit.files.nodes import ConfigError, Node
from zinit.files.service import Service, keep
from zinit.files.signals import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Setter = Callable[[Service, Node], None]

# name -> RLIMIT number on Linux
LIMITS = {
    "cpu": 0,
    "fsize": 1,
    "data": 2,
    "stack": 3,
    "core": 4,
    "rss": 5,
    "nproc": 6,
    "nofile": 7,
    "memlock": 8,
    "as": 9,
    "locks": 10,
    "sigpending": 11,
    "msgqueue": 12,
    "nice": 13,
    "rtprio": 14,
    "rttime": 15,
}
CPU_PERIOD_US = 100_000
POLICIES = (config.ALWAYS, config.ON_FAILURE, config.NEVER)


def set_ready(service: Service, node: Node) -> None:
    text = values.read_text(node)
    kind, _, number = text.partition(":")
    if text == "notify":
        service.ready = text
    elif kind == "fd" and number.isdecimal() and 3 <= int(number) < 256:
        service.ready, service.ready_fd = "fd", int(number)
    else:
        raise ConfigError("ready is `notify` or `fd:N` with N from 3 to 255", node.line)


def set_restart(service: Service, node: Node) -> None:
    if isinstance(node.value, str):
        service.restart = values.read_choice(node, POLICIES)
        return
    service.restart_factor = 2.0
    fill(service, node, RESTART)


def fill(service: Service, node: Node, keys: "dict[str, Setter]") -> set[str]:
    """Set what the entries of a mapping say; return which of `keys` there were."""
    entries = values.read_known(node, tuple(keys))
    for key in keys:
        if key in entries:
            keys[key](service, entries[key])
    return set(entries)


def set_probe(service: Service, node: Node) -> None:
    fill(service, node, PROBE)


def set_liveness(service: Service, node: Node) -> None:
    if "test" not in fill(service, node, LIVENESS):
        raise ConfigError("liveness needs a test", node.line)


def read_reload(node: Node) -> str:
    """Return a command, or the full name of a signal."""
    text = values.read_words(node)
    return text.upper() if text.upper() in NUMBERS else text


def read_namespace(node: Node) -> str:
    """Return the path of a network namespace, which may be named as `ip netns` does."""
    text = values.read_words(node)
    return text if text.startswith("/") else f"/run/netns/{text}"


def read_factor(node: Node) -> float:
    """Return a factor that lets nothing shrink."""
    return values.read_decimal(node, 1.0, "a factor from 1 on")


def read_up_to_1000(node: Node) -> int:
    """Return a number of files or of restarts."""
    return values.read_whole(node, most=1000)


def set_limits(service: Service, node: Node) -> None:
    for key, item in values.read_known(node, tuple(LIMITS)).items():
        soft, colon, hard = values.read_text(item).partition(":")
        pair = (read_limit(soft, item), read_limit(hard if colon else soft, item))
        if pair[1] != -1 and (pair[0] == -1 or pair[0] > pair[1]):
            raise ConfigError("the soft limit is above the hard one", item.line)
        service.limits[key] = pair


def read_limit(text: str, node: Node) -> int:
    """Return a limit's number; -1 is unlimited."""
    if text.strip() == "unlimited":
        return -1
    part = Node(text.strip(), node.line)
    return 0 if text.strip() == "0" else values.read_bytes(part)


def set_capabilities(service: Service, node: Node) -> None:
    from zinit.process.capabilities import NUMBERS as KNOWN

    names = tuple(name.upper().removeprefix("CAP_") for name in values.read_names(node))
    for name in names:
        if name not in KNOWN:
            raise ConfigError(f"unknown capability {name!r}", node.line)
    service.capabilities = names


def set_cgroup(service: Service, node: Node) -> None:
    entries = values.read_known(node, ("memory", "cpu", "pids", "kill"))
    service.cgroup = {}
    if "memory" in entries:
        service.cgroup["memory.max"] = str(values.read_bytes(entries["memory"]))
    if "cpu" in entries:
        quota = int(read_processors(entries["cpu"]) * CPU_PERIOD_US)
        service.cgroup["cpu.max"] = f"{quota} {CPU_PERIOD_US}"
    if "pids" in entries:
        service.cgroup["pids.max"] = str(values.read_count(entries["pids"]))
    if "kill" in entries:
        service.kill_cgroup = values.read_choice(entries["kill"], ("group", "cgroup")) == "cgroup"


def read_processors(node: Node) -> float:
    """Return a share of processors: `0.5` and `50%` are half of one."""
    text = values.read_text(node)
    part = Node(text.removesuffix("%"), node.line)
    what = "a number of processors like 0.5, or a percentage like 50%,"
    number = values.read_decimal(part, 0.0, what) / (100.0 if text.endswith("%") else 1.0)
    if number < 0.01:
        raise ConfigError(f"{what} of at least 1% is wanted here", node.line)
    return number


def set_log_file(service: Service, node: Node) -> None:
    """`log` as a mapping: a file with rotation."""
    if "file" not in fill(service, node, LOG):
        raise ConfigError("log needs a file", node.line)
    service.log = "file"


RESTART: "dict[str, Setter]" = {
    "policy": keep("restart", lambda node: values.read_choice(node, POLICIES)),
    "delay": keep("restart_delay_s", values.read_seconds),
    "max_delay": keep("restart_max_delay_s", values.read_seconds),
    "factor": keep("restart_factor", read_factor),
    "limit": keep("restart_limit", read_up_to_1000),
    "window": keep("restart_window_s", values.read_period),
}
PROBE: "dict[str, Setter]" = {
    "interval": keep("probe_interval_s", values.read_period),
    "timeout": keep("probe_timeout_s", values.read_period),
}
LIVENESS: "dict[str, Setter]" = {
    "test": keep("liveness", values.read_words),
    "interval": keep("liveness_interval_s", values.read_period),
    "timeout": keep("liveness_timeout_s", values.read_period),
    "failures": keep("liveness_misses", values.read_count),
}
LOG: "dict[str, Setter]" = {
    "file": keep("log_file", values.read_path),
    "size": keep("log_size_bytes", values.read_bytes),
    "keep": keep("log_keep", read_up_to_1000),
}
KEYS: "dict[str, Setter]" = {
    "requires": keep("requires", values.read_names),
    "wants": keep("wants", values.read_names),
    "root": keep("root", values.read_path),
    "ready": set_ready,
    "restart": set_restart,
    "probe": set_probe,
    "liveness": set_liveness,
    "start_timeout": keep("start_timeout_s", values.read_period),
    "stop_timeout": keep("stop_timeout_s", values.read_seconds),
    "watchdog": keep("watchdog_s", values.read_period),
    "reload": keep("reload", read_reload),
    "user": keep("user", values.read_words),
    "group": keep("group", values.read_words),
    "groups": keep("groups", values.read_names),
    "limits": set_limits,
    "capabilities": set_capabilities,
    "no_new_privileges": keep("no_new_privileges", values.read_bool),
    "cgroup": set_cgroup,
    "tty": keep("tty", values.read_path),
    "netns": keep("netns", read_namespace),
}
