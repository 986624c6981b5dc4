"""YAML text to nodes with PyYAML, for texts that `plainyaml` does not read.

PyYAML is slow to import, so this module is imported only when such a text turns up.
"""

import yaml

from common.nesting import check_nesting
from zinit.files.nodes import ConfigError, Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH_LIMIT = 16
NODE_LIMIT = 10_000  # aliases let a short text expand to many nodes


def parse_full_yaml(text: str) -> Node:
    """Return the one document in `text`; raises `ConfigError`."""
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
    """Return PyYAML's `node` as ours, taking one number from `budget` for each node.

    Raises `ConfigError` for duplicate keys, deep nesting and an exhausted budget.
    """
    # An alias may stand inside its own anchor, so the depth has to be checked here, too.
    if depth > DEPTH_LIMIT or next(budget, None) is None:
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
            raise ConfigError("a key must be text", line)
        if key.value in entries:
            raise ConfigError(f"key {key.value!r} is given twice", line)
        entries[key.value] = convert(item, budget, depth + 1)
    return Node(entries, node.start_mark.line + 1)
