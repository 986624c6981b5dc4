"""Service files: the text of one `NAME.yaml` becomes one `Service`.

Upstream's keys, types and refusals are kept exactly: scalars are text whatever they look like, a
key given twice, a wrong type or a bad signal refuses the whole file, and an unknown key is ignored
(here with a warning). Pure: text in, `Service` out.
"""

from zinit.nodes import ConfigError, Node, parse_yaml
from zinit.signals import parse_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

RESTART_DELAY_S = 2.0
PROBE_INTERVAL_S = 2.0
LOG_KINDS = ("ring", "stdout", "none", "console")


class Service:
    """What a service file says; attributes are named like its keys."""

    __slots__ = (
        "after",
        "dir",
        "env",
        "exec",
        "log",
        "name",
        "oneshot",
        "ready",
        "ready_fd",
        "root",
        "shutdown_timeout_s",
        "stop_signal",
        "test",
    )

    def __init__(self, name: str, command: str = "") -> None:
        self.name = name
        self.exec = command
        self.test = ""
        self.oneshot = False
        self.after: tuple[str, ...] = ()
        self.shutdown_timeout_s = 10.0
        self.stop_signal = 15
        self.log = "ring"
        self.env: dict[str, str] = {}
        self.dir = ""
        self.root = ""
        self.ready = ""  # "", "notify" or "fd"
        self.ready_fd = -1


def parse_service(name: str, text: str) -> tuple[Service, list[str]]:
    """Return the service that `text` describes and warnings; raises `ConfigError`."""
    top = parse_yaml(text)
    service = Service(name)
    warnings = []
    for key, node in read_map(top).items():
        reader = KEYS.get(key)
        if reader is None:
            warnings.append(f"line {node.line}: unknown key {key!r} is ignored")
        else:
            reader(service, node)
    if not service.exec:
        raise ConfigError("exec is missing or empty", top.line)
    return service, warnings


def read_map(node: Node) -> dict[str, Node]:
    """Return the entries of a mapping."""
    if not isinstance(node.value, dict):
        raise ConfigError("a mapping is wanted here", node.line)
    return node.value


def read_text(node: Node) -> str:
    """Return a scalar as it was written."""
    if not isinstance(node.value, str):
        raise ConfigError("text is wanted here", node.line)
    if "\0" in node.value:
        raise ConfigError("text must not hold a NUL", node.line)
    return node.value


def read_bool(node: Node) -> bool:
    """Return a bare `true` or `false`."""
    if node.is_plain and node.value in ("true", "false"):
        return node.value == "true"
    raise ConfigError("true or false is wanted here", node.line)


def read_seconds(node: Node) -> float:
    """Return a whole number of seconds, not negative."""
    text = node.value if node.is_plain and isinstance(node.value, str) else ""
    try:
        number = int(text, 0) if text[:2] in ("0x", "0o", "0b") else int(text)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 64 or "_" in text:
        raise ConfigError("a whole number of seconds is wanted here", node.line)
    return float(number)


def read_names(node: Node) -> tuple[str, ...]:
    """Return a list of service names."""
    if not isinstance(node.value, list):
        raise ConfigError("a list of names is wanted here", node.line)
    return tuple(read_text(item) for item in node.value)


def set_exec(service: Service, node: Node) -> None:
    service.exec = read_text(node)


def set_test(service: Service, node: Node) -> None:
    service.test = read_text(node)


def set_oneshot(service: Service, node: Node) -> None:
    service.oneshot = read_bool(node)


def set_after(service: Service, node: Node) -> None:
    service.after = read_names(node)


def set_shutdown_timeout(service: Service, node: Node) -> None:
    service.shutdown_timeout_s = read_seconds(node)


def set_signal(service: Service, node: Node) -> None:
    for key, item in read_map(node).items():
        if key == "stop":
            try:
                service.stop_signal = parse_signal(read_text(item))
            except ValueError as error:
                raise ConfigError(str(error), item.line) from None


def set_log(service: Service, node: Node) -> None:
    text = read_text(node)
    if text not in LOG_KINDS:
        raise ConfigError(f"log is one of {', '.join(LOG_KINDS)}", node.line)
    service.log = text


def set_env(service: Service, node: Node) -> None:
    service.env = {key: read_text(item) for key, item in read_map(node).items()}


def set_dir(service: Service, node: Node) -> None:
    service.dir = read_text(node)


def set_root(service: Service, node: Node) -> None:
    service.root = read_text(node)
    if service.root and not service.root.startswith("/"):
        raise ConfigError("root is an absolute path", node.line)


def set_ready(service: Service, node: Node) -> None:
    text = read_text(node)
    kind, _, number = text.partition(":")
    if text == "notify":
        service.ready = text
    elif kind == "fd" and number.isdecimal() and 3 <= int(number) < 256:
        service.ready, service.ready_fd = "fd", int(number)
    else:
        raise ConfigError("ready is `notify` or `fd:N` with N from 3 to 255", node.line)


KEYS: "dict[str, Callable[[Service, Node], None]]" = {
    "exec": set_exec,
    "test": set_test,
    "oneshot": set_oneshot,
    "after": set_after,
    "shutdown_timeout": set_shutdown_timeout,
    "signal": set_signal,
    "log": set_log,
    "env": set_env,
    "dir": set_dir,
    "root": set_root,
    "ready": set_ready,
}
