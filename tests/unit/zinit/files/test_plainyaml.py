"""The small YAML reader returns what PyYAML returns, or leaves the text to PyYAML."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zinit.files.fullyaml import parse_full_yaml
from zinit.files.nodes import ConfigError, Node
from zinit.files.plainyaml import read_plain

FILE = """\
# the web server
exec: /usr/bin/web --port 80 'a b'   # comment

oneshot: false
test: "curl -f localhost"
after: [a, stream:1 , b-c]
requires:
- x
- 'y z'
env:
  PORT: 8080
  URL: http://host:80/x
signal: {stop: SIGINT}
log:
"""


def flatten(node: Node) -> object:
    """Return a node as comparable values, lines and quoting included."""
    value: object = node.value
    if isinstance(node.value, list):
        value = [flatten(item) for item in node.value]
        return value, node.line
    if isinstance(node.value, dict):
        value = {key: flatten(item) for key, item in node.value.items()}
        return value, node.line
    return value, node.line, node.is_plain


def test_a_typical_file_is_read_without_pyyaml() -> None:
    node = read_plain(FILE)
    assert node is not None
    assert flatten(node) == flatten(parse_full_yaml(FILE))


@pytest.mark.parametrize(
    "text",
    [
        "a: b: c",
        "a: |\n  x",
        "a: >-\n  x",
        "a: &x y",
        "a: *x",
        "a: !t y",
        "a: b\n  c",
        "a: 'it''s'",
        'a: "\\n"',
        "a: [b, [c]]",
        "a: [b,\n c]",
        "- a",
        "a: b\na: c",
        "a: b\n---\nc: d",
        "? a",
        "a:\tb",
        "a: \u00e4",
        "a: @x",
        "a: [b,]",
        "'a': b",
        "<<: b",
        " a: b",
        "a: b\n c: d",
        "a:\n  - b\n - c",
        "a: -",
        "a: - b",
        "a: ?",
        "a: [#x]",
    ],
)
def test_other_text_is_left_to_pyyaml(text: str) -> None:
    assert read_plain(text) is None


PIECES = st.sampled_from(
    ["a", "b-c", "1", ":", ": ", "- ", "[", "]", "{", "}", ", ", "#", " #", "'", '"', "\n", "\n  ",
     " ", "x y", "exec", "true", "~", "&", "*", "!", "|", ">", "%", "@", "?", "\n- ", "\n    ", ".",
     "---", "\\", "=", "<<"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=24).map("".join))
@example("a: [b c]\n")
@example("a: {b: c, d: e}")
@example("a:\n- b\n- c\nd: e")
@example("a: b #c\n#d\nf: 'g' #h")
def test_pyyaml_reads_the_same(text: str) -> None:
    ours = read_plain(text)
    if ours is None:
        return
    theirs = None
    with contextlib.suppress(ConfigError):
        theirs = parse_full_yaml(text)
    assert theirs is not None, "PyYAML refuses what we read"
    assert flatten(ours) == flatten(theirs)
