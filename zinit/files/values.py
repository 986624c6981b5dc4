"""Readers for the values of service files: each takes a node and refuses what does not fit.

Every reader raises `ConfigError` with the line of the value. Readers that few files need are in
`special`.
"""

from zinit.files.nodes import ConfigError, Node
from zinit.files.signals import parse_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
U64 = 1 << 64
PATH_MAX = 4096  # <linux/limits.h>; a log file's path goes into every packet for its writer
LOG_KINDS = ("ring", "stdout", "none", "console")


def read_map(node: Node) -> dict[str, Node]:
    """Return the entries of a mapping."""
    if not isinstance(node.value, dict):
        raise ConfigError("expected a mapping", node.line)
    return node.value


def read_known(node: Node, keys: tuple[str, ...]) -> dict[str, Node]:
    """Return the entries of a mapping that may have no keys but `keys`."""
    entries = read_map(node)
    for key, item in entries.items():
        if key not in keys:
            raise ConfigError(f"unknown key {key!r}, expected {', '.join(keys)}", item.line)
    return entries


def read_text(node: Node) -> str:
    """Return a scalar as it was written."""
    if not isinstance(node.value, str):
        raise ConfigError("expected text", node.line)
    if "\0" in node.value:
        raise ConfigError("text must not contain NUL", node.line)
    return node.value


def read_words(node: Node) -> str:
    """Return a scalar that is not blank."""
    text = read_text(node)
    if not text.strip():
        raise ConfigError("must not be empty", node.line)
    return text


def read_path(node: Node) -> str:
    """Return an absolute path."""
    text = read_text(node)
    if not text.startswith("/"):
        raise ConfigError("expected an absolute path", node.line)
    if len(text.encode()) >= PATH_MAX:
        raise ConfigError(f"a path has less than {PATH_MAX} bytes", node.line)
    return text


def read_choice(node: Node, choices: tuple[str, ...]) -> str:
    """Return one of `choices`."""
    text = read_text(node)
    if text not in choices:
        raise ConfigError(f"expected one of {', '.join(choices)}", node.line)
    return text


def read_bool(node: Node) -> bool:
    """Return an unquoted `true` or `false`."""
    if node.is_plain and node.value in ("true", "false"):
        return node.value == "true"
    raise ConfigError("expected true or false", node.line)


def read_whole(node: Node, what: str = "a whole number", most: int = U64 - 1) -> int:
    """Return an unquoted whole number from 0 to `most`."""
    text = node.value if node.is_plain and isinstance(node.value, str) else ""
    try:
        number = int(text, 0) if text[:2] in ("0x", "0o", "0b") else int(text)
    except ValueError:
        number = -1
    if not 0 <= number <= most or "_" in text:
        raise ConfigError(f"expected {what}", node.line)
    return number


def read_count(node: Node) -> int:
    """Return a whole number of at least 1."""
    number = read_whole(node)
    if not number:
        raise ConfigError("expected a whole number above 0", node.line)
    return number


def read_decimal(node: Node, least: float, what: str) -> float:
    """Return an unquoted decimal number of at least `least`."""
    text = node.value if node.is_plain and isinstance(node.value, str) else ""
    if text and all(char in "0123456789." for char in text):
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if least <= number < 1e9:
            return number
    raise ConfigError(f"expected {what}", node.line)


def read_seconds(node: Node) -> float:
    """Return a number of seconds, 0 included."""
    return read_decimal(node, 0.0, "a number of seconds")


def read_period(node: Node) -> float:
    """Return a number of seconds, at least a hundredth."""
    return read_decimal(node, 0.01, "a number of seconds above 0")


def read_whole_seconds(node: Node) -> float:
    """Return a whole number of seconds, the only kind of time-out that upstream knows."""
    return float(read_whole(node, "a whole number of seconds"))


def read_bytes(node: Node) -> int:
    """Return a number of bytes: `512M`, `1.5G`, `4096`."""
    text = read_text(node).strip().upper().removesuffix("B").removesuffix("I")
    unit = text[-1:] if text[-1:] in UNITS else ""
    try:
        number = int(float(text.removesuffix(unit)) * UNITS[unit])
    except (ValueError, OverflowError):
        number = 0
    if not 0 < number < U64:
        raise ConfigError("expected a size such as 512M", node.line)
    return number


def read_names(node: Node) -> tuple[str, ...]:
    """Return a list of names."""
    if not isinstance(node.value, list):
        raise ConfigError("expected a list of names", node.line)
    return tuple(read_text(item) for item in node.value)


def read_variables(node: Node) -> dict[str, str]:
    """Return environment variables."""
    entries = read_map(node)
    variables = {key: read_text(item) for key, item in entries.items()}
    for key, item in entries.items():
        if not key or "=" in key or "\0" in key:
            raise ConfigError(f"{key!r} is not a valid variable name", item.line)
    return variables


def read_signal(node: Node) -> int:
    """Return the number of a signal that is given by its full name."""
    try:
        return parse_signal(read_text(node))
    except ValueError as error:
        raise ConfigError(str(error), node.line) from None


def read_log(node: Node) -> str:
    """Return where the output goes."""
    return read_choice(node, LOG_KINDS)


READERS: "dict[str, Callable[[Node], object]]" = {
    "text": read_text,
    "words": read_words,
    "path": read_path,
    "bool": read_bool,
    "count": read_count,
    "seconds": read_seconds,
    "period": read_period,
    "whole_seconds": read_whole_seconds,
    "bytes": read_bytes,
    "names": read_names,
    "variables": read_variables,
    "signal": read_signal,
    "log": read_log,
}
