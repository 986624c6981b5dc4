"""YAML text as a tree of nodes that remember their line and whether they were quoted.

Scalars stay text: YAML's guesses (`on` is true, `12:30` is 750) would change what services get.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH_LIMIT = 16
NODE_LIMIT = 10_000
"""Aliases make a short text mean a long one."""


class ConfigError(Exception):
    """A service file that can't be used; `line` counts from 1."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.reason = reason
        self.line = line


class Node:
    """One value: text, a list of nodes, or a mapping from text to nodes."""

    __slots__ = ("is_plain", "line", "value")

    def __init__(
        self, value: "str | list[Node] | dict[str, Node]", line: int, is_plain: bool = True
    ) -> None:
        self.value = value
        self.line = line
        self.is_plain = is_plain  # a scalar without quotes


def parse_yaml(text: str) -> Node:
    """Return the one document in `text`; raises `ConfigError`."""
    from zinit.files.plainyaml import read_plain

    node = read_plain(text)
    return node if node is not None else parse_any_yaml(text)


def parse_any_yaml(text: str) -> Node:
    """Do the same with PyYAML, which is costly to import."""
    import yaml

    from common.nesting import check_nesting

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        check_nesting(text, DEPTH_LIMIT)
        top = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or "not YAML"
        if reason.startswith("but ") and getattr(error, "context", None):
            reason = f"{error.context}, {reason}"  # type: ignore[attr-defined]
        raise ConfigError(reason, mark.line + 1 if mark else 0) from None
    except ValueError as error:  # e.g. a lone surrogate
        raise ConfigError(f"not YAML: {error}") from None
    if top is None:
        raise ConfigError("the file is empty")
    return convert(top, iter(range(NODE_LIMIT)), 0)


def convert(node: object, budget: "Iterator[int]", depth: int) -> Node:
    """Return PyYAML's `node` as ours; refuses keys given twice, and more nodes than `budget`."""
    import yaml

    if depth > DEPTH_LIMIT or next(budget, None) is None:  # an alias may stand inside its anchor
        raise ConfigError("nested too deeply, or too long")
    if isinstance(node, yaml.ScalarNode):
        is_plain = not node.style and node.tag != "!"
        return Node(node.value, node.start_mark.line + 1, is_plain)
    if isinstance(node, yaml.SequenceNode):
        items = [convert(item, budget, depth + 1) for item in node.value]
        return Node(items, node.start_mark.line + 1)
    assert isinstance(node, yaml.MappingNode)
    entries: dict[str, Node] = {}
    for key, item in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError("a key is text", line)
        if key.value in entries:
            raise ConfigError(f"key {key.value!r} is given twice", line)
        entries[key.value] = convert(item, budget, depth + 1)
    return Node(entries, node.start_mark.line + 1)
