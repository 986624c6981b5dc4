"""One connection that speaks JSON-RPC 2.0, with the methods of upstream's zinit 0.2.28.

Requests are JSON values one after another (a newline between them is optional), single or in
batches, with positional or named parameters; replies end in a newline. Errors carry upstream's
codes and its `data` object.
"""

import json
import re

from zinit import rpcfiles
from zinit.ring import is_line_of
from zinit.rpcerrors import RpcError, explain
from zinit.units import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.api import Api

REQUEST_LIMIT = 256 << 10
DEPTH_LIMIT = 64
CHUNK_LINES = 200
# What 0.2.28 takes for a stop. Its clients get the reply when the service is down, and some count
# on the restart pause (2 s) being nearly over by then.
STOP_TAKES_S = 1.0
STOP_LIMIT_S = 25.0
STOP_STEP_S = 0.05
MARKS = re.compile(rb'["\\{}\[\]]')
LATER = object()


class Cutter:
    """Finds the end of each JSON value in a stream of bytes by its brackets."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self._depth = 0
        self._in_string = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the values that `data` completes; raises ValueError if this can't be JSON."""
        self._data += data
        values = []
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
                    values.append(self._data[: self._at])
                    self._data = self._data[self._at :]
                    self._at = self._depth = 0
        else:
            self._at = len(self._data)
        if len(self._data) > REQUEST_LIMIT:
            raise ValueError("too long")
        return values


class RpcSession:
    """Turns requests into replies, and log lines into notifications."""

    def __init__(self, api: "Api") -> None:
        self.is_over = False
        self._api = api
        self._cutter = Cutter()
        self._look_at = 0.0
        self._stops: list[tuple[object, str, float]] = []  # id, name, when it was asked
        self._subscriptions: dict[int, str | None] = {}
        self._cursor = 0
        manager = api.manager
        self._methods: dict[str, tuple[str, Callable[..., object]]] = {
            "service_list": ("", manager.list_states),
            "service_status": ("name", manager.status),
            "service_start": ("name", manager.start),
            "service_stop": ("name", manager.stop),
            "service_forget": ("name", manager.forget),
            "service_monitor": ("name", self._monitor),
            "service_kill": ("name signal", manager.kill),
            "service_create": ("name content", lambda *args: rpcfiles.create(api, *args)),
            "service_delete": ("name", lambda name: rpcfiles.delete(api, name)),
            "service_get": ("name", lambda name: rpcfiles.get(api, name)),
            "service_stats": ("name", self._stats),
            "system_shutdown": ("", api.order_shutdown),
            "system_reboot": ("", api.order_reboot),
            "system_start_http_server": ("address", self._start_http),
            "system_stop_http_server": ("", self._stop_http),
            "stream_currentLogs": ("name?", self._current_logs),
            "stream_subscribeLogs": ("filter?", self._subscribe),
            "stream_unsubscribeLogs": ("subscription", self._unsubscribe),
            "rpc.discover": ("", self._discover),
        }

    def feed(self, data: bytes) -> bytes:
        """Take received bytes; return the replies they bring."""
        if not data:
            self.is_over = True
            return b""
        try:
            values = self._cutter.feed(data)
        except ValueError:
            self.is_over = True
            return encode(reply_error(None, -32700, "Parse error"))
        return b"".join(self.answer(value) for value in values)

    def pull(self) -> bytes:
        """Return the replies of stops that are through, and new log lines."""
        return b"".join((*self._pull_stops(), *self._pull_lines()))

    def next_time(self) -> float | None:
        """Return when a waiting stop is to be looked at."""
        return self._look_at if self._stops else None

    def answer(self, text: bytes) -> bytes:
        """Return the reply to one request or batch, with its newline; empty for notifications."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return encode(reply_error(None, -32700, "Parse error"))
        if not isinstance(value, list):
            one = self._call(value)
            return b"" if one is None else encode(one)
        if not value:
            return encode(reply_error(None, -32600, "Invalid request"))
        many = [one for one in map(self._call, value) if one is not None]
        return encode(many) if many else b""

    def _call(self, request: object) -> "dict[str, object] | None":
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            number = request.get("id") if isinstance(request, dict) else None
            return reply_error(number, -32600, "Invalid request")
        number = request.get("id")
        try:
            result = self._invoke(number, request["method"], request.get("params"))
        except RpcError as error:
            reply = reply_error(number, error.code, error.message, error.data)
        else:
            if result is LATER:
                return None
            reply = {"jsonrpc": "2.0", "id": number, "result": result}
        return reply if "id" in request else None

    def _invoke(self, number: object, method: str, params: object) -> object:
        known = self._methods.get(method)
        if known is None:
            raise RpcError(-32601, "Method not found")
        names, function = known
        args = bind(names.split(), params)
        name = args[0] if args and isinstance(args[0], str) else ""
        try:
            result = function(*args)
        except CommandError as error:
            raise explain(error, method, name) from None
        if method == "service_stop" and self._api.manager.find(name).record.has_process:
            now = self._api.now()
            self._stops.append((number, name, now))
            if len(self._stops) == 1:
                self._look_at = now + STOP_TAKES_S
            return LATER
        return result

    def _pull_stops(self) -> "list[bytes]":
        now = self._api.now()
        if not self._stops or now < self._look_at:
            return []
        self._look_at = now + STOP_STEP_S
        replies = []
        for entry in list(self._stops):
            number, name, asked = entry
            unit = self._api.manager.units.get(name)
            is_down = unit is None or not unit.record.has_process
            if (is_down and now >= asked + STOP_TAKES_S) or now >= asked + STOP_LIMIT_S:
                self._stops.remove(entry)
                if number is not None:
                    replies.append(encode({"jsonrpc": "2.0", "id": number, "result": None}))
        return replies

    def _pull_lines(self) -> "list[bytes]":
        if not self._subscriptions:
            return []
        notes = []
        lines, self._cursor, missed = self._api.ring.read(self._cursor, CHUNK_LINES)
        if missed:
            lines.insert(0, b"[-] zinit: %d lines dropped" % missed)
        for line in lines:
            for number, name in self._subscriptions.items():
                if name is None or is_line_of(line, name):
                    params = {"subscription": number, "result": line.decode(errors="replace")}
                    note = {"jsonrpc": "2.0", "method": "stream_subscribeLogs", "params": params}
                    notes.append(encode(note))
        return notes

    def _monitor(self, name: str) -> None:
        rpcfiles.check_name(name, "monitoring service")
        self._api.monitor(name)

    def _stats(self, name: str) -> object:
        from zinit.stats import describe

        record = self._api.manager.find(name).record
        if not record.has_process:
            raise CommandError("down", f'service "{name}" is down')
        return {"name": name, **describe(record.pid)}

    def _current_logs(self, name: str | None) -> list[str]:
        lines = self._api.ring.lines()
        return [
            line.decode(errors="replace")
            for line in lines
            if name is None or is_line_of(line, name)
        ]

    def _subscribe(self, name: str | None) -> int:
        if not self._subscriptions:
            self._cursor = self._api.ring.end
        number = max(self._subscriptions, default=0) + 1
        self._subscriptions[number] = name
        return number

    def _unsubscribe(self, subscription: object) -> bool:
        if not isinstance(subscription, int):
            return False
        return self._subscriptions.pop(subscription, "?") != "?"

    def _start_http(self, address: str) -> str:
        return self._api.start_http(address)

    def _stop_http(self) -> None:
        self._api.stop_http()

    def _discover(self) -> str:
        from zinit.openrpc import describe_methods

        return describe_methods({name: names for name, (names, _) in self._methods.items()})


def bind(names: list[str], params: object) -> list[object]:
    """Return the arguments for parameters called `names` (`name?` may be missing)."""
    if params is None:
        params = []
    if isinstance(params, dict):
        params = [params.get(name.rstrip("?")) for name in names]
        while params and params[-1] is None:
            params.pop()
    if not isinstance(params, list) or len(params) > len(names):
        raise RpcError(-32602, "Invalid params")
    args = []
    for at, name in enumerate(names):
        value = params[at] if at < len(params) else None
        if value is None and not name.endswith("?"):
            raise RpcError(-32602, "Invalid params", "No more params")
        if name == "content":
            if not isinstance(value, dict):
                raise RpcError(-32602, "Invalid params", "expected an object")
        elif name != "subscription" and not isinstance(value, str | None):
            raise RpcError(-32602, "Invalid params", "expected a string")
        args.append(value)
    return args


def reply_error(
    number: object, code: int, message: str, data: object = None
) -> "dict[str, object]":
    """Return an error reply."""
    error: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": number, "error": error}


def encode(value: object) -> bytes:
    """Return `value` as one line."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="replace") + b"\n"
