"""The line protocol: one line of words in, one JSON object out; and the JSON writing itself.

A request is split like a command line. A reply is `{"state":"ok"|"error","body":...}` without a
newline, keys in order of their names, text as UTF-8 (upstream's serde_json). Pure.
"""

from _json import encode_basestring

from zinit.files.words import split_words

ARGUMENTS = {
    "list": (0, 0),
    "status": (1, 1),
    "start": (1, 1),
    "stop": (1, 1),
    "forget": (1, 1),
    "monitor": (1, 1),
    "kill": (2, 2),
    "shutdown": (0, 0),
    "reboot": (0, 0),
    "reload": (0, 1),
    "analyze": (0, 0),
    "reexec": (0, 0),
    "log": (0, 1),
}


class ProtocolError(Exception):
    """A line that is no command."""


def parse_request(line: str) -> list[str]:
    """Return the words of a command with the right number of arguments."""
    try:
        words = split_words(line)
    except ValueError:
        raise ProtocolError("invalid command syntax") from None
    if not words:
        raise ProtocolError("unknown command")
    name, *args = words
    least, most = ARGUMENTS.get(name, (1, 0))
    if not least <= len(args) <= most or (name == "log" and args not in ([], ["snapshot"])):
        raise ProtocolError(f"unknown command '{name}' or wrong arguments count")
    return words


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
