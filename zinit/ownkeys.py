"""The keys that upstream does not have; imported when a file uses one."""

from zinit import config, values
from zinit.config import Service
from zinit.nodes import ConfigError, Node
from zinit.signals import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

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


def set_requires(service: Service, node: Node) -> None:
    service.requires = values.read_names(node)


def set_wants(service: Service, node: Node) -> None:
    service.wants = values.read_names(node)


def set_root(service: Service, node: Node) -> None:
    service.root = values.read_path(node)


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
    keys = ("policy", "delay", "max_delay", "factor", "limit", "window")
    entries = values.read_known(node, keys)
    service.restart_factor = 2.0
    if "policy" in entries:
        service.restart = values.read_choice(entries["policy"], POLICIES)
    if "delay" in entries:
        service.restart_delay_s = values.read_seconds(entries["delay"])
    if "max_delay" in entries:
        service.restart_max_delay_s = values.read_seconds(entries["max_delay"])
    if "factor" in entries:
        service.restart_factor = values.read_decimal(entries["factor"], 1.0, "a factor from 1 on")
    if "limit" in entries:
        service.restart_limit = values.read_whole(entries["limit"], most=1000)
    if "window" in entries:
        service.restart_window_s = values.read_period(entries["window"])


def set_probe(service: Service, node: Node) -> None:
    entries = values.read_known(node, ("interval", "timeout"))
    if "interval" in entries:
        service.probe_interval_s = values.read_period(entries["interval"])
    if "timeout" in entries:
        service.probe_timeout_s = values.read_period(entries["timeout"])


def set_liveness(service: Service, node: Node) -> None:
    entries = values.read_known(node, ("test", "interval", "timeout", "failures"))
    if "test" not in entries:
        raise ConfigError("liveness needs a test", node.line)
    service.liveness = values.read_words(entries["test"])
    if "interval" in entries:
        service.liveness_interval_s = values.read_period(entries["interval"])
    if "timeout" in entries:
        service.liveness_timeout_s = values.read_period(entries["timeout"])
    if "failures" in entries:
        service.liveness_misses = values.read_count(entries["failures"])


def set_start_timeout(service: Service, node: Node) -> None:
    service.start_timeout_s = values.read_period(node)


def set_stop_timeout(service: Service, node: Node) -> None:
    service.stop_timeout_s = values.read_seconds(node)


def set_watchdog(service: Service, node: Node) -> None:
    service.watchdog_s = values.read_period(node)


def set_reload(service: Service, node: Node) -> None:
    text = values.read_words(node)
    service.reload = text.upper() if text.upper() in NUMBERS else text


def set_user(service: Service, node: Node) -> None:
    service.user = values.read_words(node)


def set_group(service: Service, node: Node) -> None:
    service.group = values.read_words(node)


def set_groups(service: Service, node: Node) -> None:
    service.groups = values.read_names(node)


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
    from zinit.capabilities import NUMBERS as KNOWN

    names = tuple(name.upper().removeprefix("CAP_") for name in values.read_names(node))
    for name in names:
        if name not in KNOWN:
            raise ConfigError(f"unknown capability {name!r}", node.line)
    service.capabilities = names


def set_no_new_privileges(service: Service, node: Node) -> None:
    service.no_new_privileges = values.read_bool(node)


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


def set_tty(service: Service, node: Node) -> None:
    service.tty = values.read_path(node)


def set_netns(service: Service, node: Node) -> None:
    text = values.read_words(node)
    service.netns = text if text.startswith("/") else f"/run/netns/{text}"


def set_log_file(service: Service, node: Node) -> None:
    """`log` as a mapping: a file with rotation."""
    entries = values.read_known(node, ("file", "size", "keep"))
    if "file" not in entries:
        raise ConfigError("log needs a file", node.line)
    service.log = "file"
    service.log_file = values.read_path(entries["file"])
    if "size" in entries:
        service.log_size_bytes = values.read_bytes(entries["size"])
    if "keep" in entries:
        service.log_keep = values.read_whole(entries["keep"], most=1000)


KEYS: "dict[str, Callable[[Service, Node], None]]" = {
    "requires": set_requires,
    "wants": set_wants,
    "root": set_root,
    "ready": set_ready,
    "restart": set_restart,
    "probe": set_probe,
    "liveness": set_liveness,
    "start_timeout": set_start_timeout,
    "stop_timeout": set_stop_timeout,
    "watchdog": set_watchdog,
    "reload": set_reload,
    "user": set_user,
    "group": set_group,
    "groups": set_groups,
    "limits": set_limits,
    "capabilities": set_capabilities,
    "no_new_privileges": set_no_new_privileges,
    "cgroup": set_cgroup,
    "tty": set_tty,
    "netns": set_netns,
}
