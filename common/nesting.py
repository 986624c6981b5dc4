"""Limits nesting in YAML: PyYAML's loaders recurse, so a short text could exhaust the stack."""

from typing import Any

import yaml


def check_nesting(text: str | bytes, limit: int) -> None:
    """Raise `yaml.YAMLError` for invalid YAML, or collections nested deeper than `limit`."""
    depth = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > limit:
                mark: Any = event.start_mark
                raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
