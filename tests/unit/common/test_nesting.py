"""A short YAML text must not exhaust the stack, the memory or the time of its parser."""

import pytest
import yaml

from common.nesting import check_nesting
from zinit.files.nodes import ConfigError, Node
from zinit.files.plainyaml import parse_yaml

DEEP = ["[" * 60_000, "a: " + "{b: " * 60_000, "- " * 60_000, "exec: x\nz: " + "[" * 60_000]
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("text", DEEP, ids=["list", "mapping", "block", "service"])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="nested too deeply"):
        check_nesting(text, 16)
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse_yaml(text)


def test_the_limit_itself_is_allowed() -> None:
    check_nesting("[" * 16 + "]" * 16, 16)
    check_nesting("- [a]\n- [b]\n" * 100, 2)


def test_aliases_that_expand_exponentially_are_refused() -> None:
    with pytest.raises(ConfigError, match="too long"):
        parse_yaml(BOMB)


def test_an_anchor_that_contains_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match="too"):
        parse_yaml("exec: x\na: &a [*a]\n")


def test_aliases_are_allowed() -> None:
    node = parse_yaml("a: &a [one]\nb: *a\n")
    assert isinstance(node.value, dict)
    items = node.value["b"].value
    assert isinstance(items, list)
    assert [item.value for item in items if isinstance(item, Node)] == ["one"]
