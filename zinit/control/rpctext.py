"""The text of JSON-RPC: cuts requests apart, checks their parts, makes replies. Pure."""

import json
import re

from zinit.control.rpcerrors import RpcError

REQUEST_LIMIT = 256 << 10
DEPTH_LIMIT = 64
MARKS = re.compile(rb'["\\{}\[\]]')
NOTIFICATION = object()  # stands for the id of a request without one, which gets no reply


class Cutter:
    """Cuts a stream of bytes into JSON objects and arrays by counting brackets."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0
        self._depth = 0
        self._in_string = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the values that `data` completes; raises ValueError if it cannot be JSON."""
        self._data += data
        values = []
        start = 0  # of the next value
        while (mark := MARKS.search(self._data, self._at)) is not None:
            char = mark.group()
            self._at = mark.end()
            if self._in_string:
                if char == b"\\":
                    if self._at >= len(self._data):
                        self._at -= 1
                        break
                    self._at += 1
                elif char == b'"':
                    self._in_string = False
            elif char == b'"':
                self._in_string = True
            elif char in b"{[":
                self._depth += 1
                if self._depth > DEPTH_LIMIT:
                    raise ValueError("nested too deeply")
            elif char in b"}]":
                self._depth -= 1
                if self._depth <= 0:
                    values.append(bytes(self._data[start : self._at]))
                    start = self._at
                    self._depth = 0
        else:
            self._at = len(self._data)
        del self._data[:start]
        self._at -= start
        if len(self._data) > REQUEST_LIMIT:
            raise ValueError("too long")
        return values


def bind(names: list[str], params: object) -> list[object]:
    """Return the arguments for the parameters `names` (`name?` is optional); raises RpcError.

    Further parameters are ignored, as upstream does.
    """
    if params is None:
        params = []
    if isinstance(params, dict):
        params = [params.get(name.rstrip("?")) for name in names]
        while params and params[-1] is None:
            params.pop()
    if not isinstance(params, list):
        raise RpcError(-32602, "Invalid params")
    args = []
    for at, name in enumerate(names):
        value = params[at] if at < len(params) else None
        if value is None and not name.endswith("?"):
            raise RpcError(-32602, "Invalid params", "No more params")
        if name == "content":
            if not isinstance(value, dict):
                raise RpcError(-32602, "Invalid params", "expected an object")
        elif name != "subscription" and not (value is None or is_text(value)):
            raise RpcError(-32602, "Invalid params", "expected a string")
        args.append(value)
    return args


def is_text(value: object) -> bool:
    """Return whether `value` is text that UTF-8 can encode: JSON can hold lone surrogates."""
    try:
        return isinstance(value, str) and bool(value.encode() or True)
    except UnicodeEncodeError:
        return False


def is_id(value: object) -> bool:
    """Return whether a reply can carry `value` as its id."""
    if isinstance(value, float):
        return value - value == 0  # not infinite
    return value is None or value is NOTIFICATION or type(value) is int or is_text(value)


def refuse_constant(word: str) -> object:
    """Refuse NaN and Infinity, which Python accepts although JSON has no such values."""
    raise ValueError(word)


def make_result(number: object, result: object) -> "dict[str, object]":
    """Return a reply with a result."""
    return {"jsonrpc": "2.0", "id": number, "result": result}


def make_error(number: object, code: int, message: str, data: object = None) -> "dict[str, object]":
    """Return a reply with an error."""
    error: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": number, "error": error}


def encode(value: object) -> bytes:
    """Return `value` as one line of JSON."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="replace") + b"\n"
