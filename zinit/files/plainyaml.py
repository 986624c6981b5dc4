"""YAML text to nodes, without PyYAML for the plain subset that nearly every service file keeps to.

Importing PyYAML costs PID 1 forty modules. `read_plain` reads block mappings and lists, one-line
scalars (plain or in quotes without escapes) and one-line lists and mappings of those. It returns
None for any other text, and PyYAML reads that. Where `read_plain` returns a node, PyYAML would
return the same; a test compares the two on generated text.
"""

from zinit.files.nodes import Node

# No plain scalar begins with one of these here; the places where YAML allows some are PyYAML's.
NOT_FIRST = "-?:,[]{}#&*!|>'\"%@` \t"
IN_FLOW = frozenset("[]{}'\"#")
CONTROLS = frozenset(map(chr, range(32))) - {"\n"} | {"\x7f"}
LETTERS = {ord(char): "a" for char in "_-."}
DEPTH_LIMIT = 8


class NotPlainError(Exception):
    """The text is outside the plain subset."""


class Line:
    """A line that is neither blank nor a comment."""

    __slots__ = ("indent", "number", "text")

    def __init__(self, number: int, indent: int, text: str) -> None:
        self.number = number
        self.indent = indent
        self.text = text  # without its indent


def parse_yaml(text: str) -> Node:
    """Return the one document in `text`; raises `ConfigError`."""
    node = read_plain(text)
    if node is not None:
        return node
    from zinit.files.fullyaml import parse_full_yaml

    return parse_full_yaml(text)


def read_plain(text: str) -> Node | None:
    """Return the document in `text` if it is in the plain subset and its top is a mapping."""
    if not text.isascii() or not CONTROLS.isdisjoint(text):
        return None
    try:
        lines = read_lines(text)
        if not lines or lines[0].indent:
            return None
        node, rest = read_mapping(lines, 0, 0)
        return node if rest == len(lines) else None
    except NotPlainError:
        return None


def read_lines(text: str) -> list[Line]:
    """Return the lines of `text` without comments and blank lines."""
    lines = []
    for number, raw in enumerate(text.split("\n"), 1):
        bare = raw.lstrip(" ")
        if not bare.strip() or bare.startswith("#"):
            continue
        if raw.startswith(("---", "...", "%")):
            raise NotPlainError
        lines.append(Line(number, len(raw) - len(bare), bare.rstrip(" ")))
    return lines


def read_mapping(lines: list[Line], at: int, depth: int) -> tuple[Node, int]:
    """Read the block mapping that begins at line `at`; return it and the line after it."""
    if depth > DEPTH_LIMIT:
        raise NotPlainError
    indent, first = lines[at].indent, lines[at].number
    entries: dict[str, Node] = {}
    while at < len(lines) and lines[at].indent == indent:
        line = lines[at]
        key, text = split_key(line.text)
        if key in entries:
            raise NotPlainError  # PyYAML's reader reports the duplicate
        if text:
            entries[key], at = read_value(text, line.number), at + 1
            check_end(lines, at, indent)
        else:
            entries[key], at = read_block(lines, at + 1, indent, line.number, depth)
    return Node(entries, first), at


def read_block(
    lines: list[Line], at: int, indent: int, number: int, depth: int
) -> tuple[Node, int]:
    """Read the list or mapping on the lines after `key:`; without one the value is empty text."""
    if at < len(lines):
        line = lines[at]
        if line.indent >= indent and line.text.startswith("- "):
            return read_list(lines, at)
        if line.indent > indent:
            return read_mapping(lines, at, depth + 1)
    return Node("", number), at


def read_list(lines: list[Line], at: int) -> tuple[Node, int]:
    """Read a block list of scalars."""
    indent, first = lines[at].indent, lines[at].number
    items = []
    while at < len(lines) and lines[at].indent == indent and lines[at].text.startswith("- "):
        text = lines[at].text[2:].strip(" ")
        if ": " in text or text.endswith(":"):
            raise NotPlainError
        items.append(read_value(text, lines[at].number))
        at += 1
        check_end(lines, at, indent)
    return Node(items, first), at


def check_end(lines: list[Line], at: int, indent: int) -> None:
    """Refuse a deeper line after a value: it would continue the value."""
    if at < len(lines) and lines[at].indent > indent:
        raise NotPlainError


def split_key(text: str) -> tuple[str, str]:
    """Return key and value of `key: value`."""
    key, colon, value = text.partition(":")
    if not colon or not key.translate(LETTERS).isalnum():
        raise NotPlainError
    if key[0] in "-." or (value and value[0] != " "):
        raise NotPlainError
    value = value.strip(" ")
    return key, "" if value.startswith("#") else value


def read_value(text: str, number: int) -> Node:
    """Return a one-line value."""
    if text[0] == "[" or text[0] == "{":
        return read_flow(text, number)
    return read_scalar(text, number)


def read_flow(text: str, number: int) -> Node:
    """Return a one-line list or mapping of scalars."""
    closing = "]" if text[0] == "[" else "}"
    end = text.find(closing)
    if end < 0 or (text[end + 1 :] and not text[end + 1 :].startswith(" #")):
        raise NotPlainError
    inner = text[1:end].strip(" ")
    if not IN_FLOW.isdisjoint(inner):
        raise NotPlainError
    parts = [part.strip(" ") for part in inner.split(",")] if inner else []
    if closing == "]":
        return Node([read_scalar(part, number) for part in parts], number)
    entries: dict[str, Node] = {}
    for part in parts:
        key, value = split_key(part)
        if key in entries:
            raise NotPlainError
        entries[key] = read_scalar(value, number)
    return Node(entries, number)


def read_scalar(text: str, number: int) -> Node:
    """Return a plain or quoted scalar."""
    if not text:
        raise NotPlainError
    if text[0] in "'\"":
        return read_quoted(text, number)
    if text[0] in NOT_FIRST:
        raise NotPlainError
    comment = text.find(" #")
    if comment >= 0:
        text = text[:comment].rstrip(" ")
    if ": " in text or text.endswith(":"):
        raise NotPlainError
    return Node(text, number)


def read_quoted(text: str, number: int) -> Node:
    """Return a scalar in quotes, if nothing in it is escaped."""
    quote = text[0]
    end = text.find(quote, 1)
    after = text[end + 1 :]
    if end < 0 or (after and not after.startswith(" #")):
        raise NotPlainError
    inner = text[1:end]
    if quote == '"' and "\\" in inner:
        raise NotPlainError
    return Node(inner, number, is_plain=False)
