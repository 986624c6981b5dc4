"""Readers for values that few service files have; imported when a file has one."""

from zinit.files import signals
from zinit.files.nodes import ConfigError, Node
from zinit.files.service import ALWAYS, NEVER, ON_FAILURE
from zinit.files.values import (
    read_bytes,
    read_choice,
    read_count,
    read_decimal,
    read_known,
    read_names,
    read_text,
    read_whole,
    read_words,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CPU_PERIOD_US = 100_000
PROCESSORS = "a number of processors such as 0.5, or a percentage such as 50%"


def read_ready(node: Node) -> str:
    """Return how the service says that it is ready: `notify` or `fd`."""
    text = read_text(node)
    if text == "notify":
        return text
    kind, _, number = text.partition(":")
    if kind == "fd" and number.isdecimal() and len(number) <= 3 and 3 <= int(number) < 256:
        return kind
    raise ConfigError("expected notify, or fd:N with N from 3 to 255", node.line)


def read_ready_fd(node: Node) -> int:
    """Return the descriptor N of `fd:N`, or -1 for `notify`."""
    is_fd = read_ready(node) == "fd"
    return int(read_text(node).partition(":")[2]) if is_fd else -1


def read_policy(node: Node) -> str:
    """Return when the service is restarted after it has ended."""
    return read_choice(node, (ALWAYS, ON_FAILURE, NEVER))


def read_reload(node: Node) -> str:
    """Return a command, or the full name of a signal."""
    text = read_words(node)
    return text.upper() if text.upper() in signals.NUMBERS else text


def read_namespace(node: Node) -> str:
    """Return the path of a network namespace; a plain name is one that `ip netns` made."""
    text = read_words(node)
    return text if text.startswith("/") else f"/run/netns/{text}"


def read_factor(node: Node) -> float:
    """Return a factor of at least 1."""
    return read_decimal(node, 1.0, "a factor of at least 1")


def read_up_to_1000(node: Node) -> int:
    """Return a whole number from 0 to 1000."""
    return read_whole(node, "a whole number up to 1000", most=1000)


def read_limits(node: Node) -> dict[str, tuple[int, int]]:
    """Return soft and hard resource limits by name; -1 is unlimited."""
    from zinit.files.limits import NUMBERS

    found = {}
    for name, item in read_known(node, tuple(NUMBERS)).items():
        soft, colon, hard = read_text(item).partition(":")
        pair = (read_limit(soft, item), read_limit(hard if colon else soft, item))
        if pair[1] != -1 and (pair[0] == -1 or pair[0] > pair[1]):
            raise ConfigError("the soft limit is above the hard limit", item.line)
        found[name] = pair
    return found


def read_limit(text: str, node: Node) -> int:
    """Return one limit, which is `text` in the value `node`."""
    if text.strip() == "unlimited":
        return -1
    part = Node(text.strip(), node.line)
    return 0 if text.strip() == "0" else read_bytes(part)


def read_capabilities(node: Node) -> tuple[str, ...]:
    """Return the names of capabilities in upper case, without CAP_."""
    from common.capabilities import NUMBERS

    names = tuple(name.upper().removeprefix("CAP_") for name in read_names(node))
    for name in names:
        if name not in NUMBERS:
            raise ConfigError(f"unknown capability {name!r}", node.line)
    return names


def read_cgroup(node: Node) -> dict[str, str]:
    """Return what is written into the files of a control group, by their names."""
    entries = read_known(node, ("memory", "cpu", "pids", "kill"))
    files = {}
    if "memory" in entries:
        files["memory.max"] = str(read_bytes(entries["memory"]))
    if "cpu" in entries:
        quota = int(read_processors(entries["cpu"]) * CPU_PERIOD_US)
        files["cpu.max"] = f"{quota} {CPU_PERIOD_US}"
    if "pids" in entries:
        files["pids.max"] = str(read_count(entries["pids"]))
    return files


def read_kill_cgroup(node: Node) -> bool:
    """Return whether all processes of the control group are killed when the service ends."""
    entries = node.value
    if not isinstance(entries, dict) or "kill" not in entries:
        return False
    return read_choice(entries["kill"], ("group", "cgroup")) == "cgroup"


def read_processors(node: Node) -> float:
    """Return a number of processors, at least 0.01: `0.5` and `50%` are half of one."""
    text = read_text(node)
    part = Node(text.removesuffix("%"), node.line)
    number = read_decimal(part, 0.0, PROCESSORS) / (100.0 if text.endswith("%") else 1.0)
    if number < 0.01:
        raise ConfigError(f"expected {PROCESSORS}, and at least 1%", node.line)
    return number


READERS: "dict[str, Callable[[Node], object]]" = {
    "ready": read_ready,
    "ready_fd": read_ready_fd,
    "policy": read_policy,
    "reload": read_reload,
    "namespace": read_namespace,
    "factor": read_factor,
    "up_to_1000": read_up_to_1000,
    "limits": read_limits,
    "capabilities": read_capabilities,
    "cgroup": read_cgroup,
    "kill_cgroup": read_kill_cgroup,
}
