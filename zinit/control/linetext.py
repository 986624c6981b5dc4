"""The text of the line protocol: one line of words in, one JSON object out; and JSON writing.

A request is split like a command line. A reply is `{"state":"ok"|"error","body":...}` without a
newline, with sorted keys and text as UTF-8 (as upstream's serde_json writes it). Pure.
"""

from _json import encode_basestring

from zinit.control.commands import find_line
from zinit.files.words import split_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.control.commands import Command


class ProtocolError(Exception):
    """A request that is not a command."""


def parse_request(line: str) -> "tuple[Command, list[str]]":
    """Return the command that `line` names, and its arguments; raises ProtocolError."""
    try:
        words = split_words(line)
    except ValueError:
        raise ProtocolError("invalid command syntax") from None
    if not words:
        raise ProtocolError("unknown command")
    found = find_line(words)
    if found is None:
        if words[0] == "log":
            raise ProtocolError("invalid log command arguments")
        raise ProtocolError(f"unknown command '{words[0]}' or wrong arguments count")
    return found


def format_reply(body: object, is_error: bool = False) -> bytes:
    """Return the reply for a command's result or its error text."""
    state = "error" if is_error else "ok"
    return f'{{"state":"{state}","body":{to_json(body)}}}'.encode(errors="replace")


def to_json(value: object, is_sorted: bool = True) -> str:
    """Return `value` (None, bool, int, float, str, list, dict with text keys) as compact JSON."""
    if isinstance(value, str):
        return str(encode_basestring(value))
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        items = sorted(value.items()) if is_sorted else value.items()
        pairs = (f"{encode_basestring(key)}:{to_json(item, is_sorted)}" for key, item in items)
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(to_json(item, is_sorted) for item in value) + "]"
    raise TypeError(f"not JSON: {type(value).__name__}")
