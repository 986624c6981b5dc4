"""Reading the values of a service file's keys: each takes a node and refuses what does not fit."""

from zinit.files.nodes import ConfigError, Node

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
U64 = 1 << 64


def read_map(node: Node) -> dict[str, Node]:
    """Return the entries of a mapping."""
    if not isinstance(node.value, dict):
        raise ConfigError("a mapping is wanted here", node.line)
    return node.value


def read_known(node: Node, keys: tuple[str, ...]) -> dict[str, Node]:
    """Return the entries of a mapping of ours, whose keys are all known."""
    entries = read_map(node)
    for key, item in entries.items():
        if key not in keys:
            raise ConfigError(f"{key!r} is none of {', '.join(keys)}", item.line)
    return entries


def read_text(node: Node) -> str:
    """Return a scalar as it was written."""
    if not isinstance(node.value, str):
        raise ConfigError("text is wanted here", node.line)
    if "\0" in node.value:
        raise ConfigError("text must not hold a NUL", node.line)
    return node.value


def read_words(node: Node) -> str:
    """Return a scalar that is not empty."""
    text = read_text(node)
    if not text.strip():
        raise ConfigError("this must not be empty", node.line)
    return text


def read_path(node: Node) -> str:
    """Return an absolute path."""
    text = read_text(node)
    if not text.startswith("/"):
        raise ConfigError("an absolute path is wanted here", node.line)
    return text


def read_choice(node: Node, choices: tuple[str, ...]) -> str:
    """Return one of `choices`."""
    text = read_text(node)
    if text not in choices:
        raise ConfigError(f"one of {', '.join(choices)} is wanted here", node.line)
    return text


def read_bool(node: Node) -> bool:
    """Return a bare `true` or `false`."""
    if node.is_plain and node.value in ("true", "false"):
        return node.value == "true"
    raise ConfigError("true or false is wanted here", node.line)


def read_whole(node: Node, what: str = "a whole number", most: int = U64 - 1) -> int:
    """Return a bare whole number from 0 to `most`."""
    text = node.value if node.is_plain and isinstance(node.value, str) else ""
    try:
        number = int(text, 0) if text[:2] in ("0x", "0o", "0b") else int(text)
    except ValueError:
        number = -1
    if not 0 <= number <= most or "_" in text:
        raise ConfigError(f"{what} is wanted here", node.line)
    return number


def read_count(node: Node) -> int:
    """Return a whole number of at least 1."""
    number = read_whole(node)
    if not number:
        raise ConfigError("a whole number above 0 is wanted here", node.line)
    return number


def read_decimal(node: Node, least: float, what: str) -> float:
    """Return a bare decimal number of at least `least`."""
    text = node.value if node.is_plain and isinstance(node.value, str) else ""
    if text and all(char in "0123456789." for char in text):
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if least <= number < 1e9:
            return number
    raise ConfigError(f"{what} is wanted here", node.line)


def read_seconds(node: Node) -> float:
    """Return seconds, not negative."""
    return read_decimal(node, 0.0, "a number of seconds")


def read_period(node: Node) -> float:
    """Return seconds, at least a hundredth."""
    return read_decimal(node, 0.01, "a number of seconds above 0")


def read_bytes(node: Node) -> int:
    """Return a number of bytes: `512M`, `1.5G`, `4096`."""
    text = read_text(node).strip().upper().removesuffix("B").removesuffix("I")
    unit = text[-1:] if text[-1:] in UNITS else ""
    try:
        number = int(float(text.removesuffix(unit)) * UNITS[unit])
    except (ValueError, OverflowError):
        number = 0
    if not 0 < number < U64:
        raise ConfigError("a size like 512M is wanted here", node.line)
    return number


def read_names(node: Node) -> tuple[str, ...]:
    """Return a list of names."""
    if not isinstance(node.value, list):
        raise ConfigError("a list of names is wanted here", node.line)
    return tuple(read_text(item) for item in node.value)
