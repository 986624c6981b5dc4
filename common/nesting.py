"""Guards PyYAML's loaders, which recurse: a short text with many brackets would end the process."""

from typing import Any

import yaml


def check_nesting(text: str | bytes, limit: int) -> None:
    """Raise `yaml.YAMLError` if collections in `text` nest deeper than `limit`, or for bad YAML."""
    depth = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > limit:
                mark: Any = event.start_mark
                raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
