"""The tree that a YAML text becomes, and the error that names a line of it."""


class ConfigError(Exception):
    """A service file that cannot be used; `line` counts from 1, 0 stands for the whole file."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.reason = reason
        self.line = line


class Node:
    """One value: text, a list of nodes, or a mapping from text to nodes.

    Scalars stay text: YAML's typing (`on` is true, `12:30` is 750) would change what services get.
    """

    __slots__ = ("is_plain", "line", "value")

    def __init__(
        self, value: "str | list[Node] | dict[str, Node]", line: int, is_plain: bool = True
    ) -> None:
        self.value = value
        self.line = line  # counts from 1
        self.is_plain = is_plain  # False for a quoted scalar
