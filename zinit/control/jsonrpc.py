"""One connection that speaks JSON-RPC 2.0, with the methods of upstream's zinit 0.2.28.

Requests are JSON values one after another (a newline between them is optional), single or in
batches, with positional or named parameters; replies end in a newline. Errors carry upstream's
codes and its `data` object.

Requests wait in the session and are worked off one by one, each when the reply before it was taken,
so that a thousand of them hold up nobody else.
"""

import json
from collections import deque

from zinit.control import rpcfiles
from zinit.control.rpcerrors import RpcError, explain
from zinit.control.rpctext import NOBODY, Cutter, bind, encode, is_id, refuse, reply_error
from zinit.life.unit import CommandError
from zinit.log.ring import is_line_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.control.commands import Api

CHUNK_LINES = 200
# What 0.2.28 takes for a stop. Its clients get the reply when the service is down, and some count
# on the restart pause (2 s) being nearly over by then.
STOP_TAKES_S = 1.0
STOP_LIMIT_S = 25.0
STOP_STEP_S = 0.05
REPLY_LIMIT = 10 << 20  # of a batch; what upstream's library takes


class Batch:
    """A batch on its way: its requests, the replies so far, and how many come later."""

    __slots__ = ("_replies", "_size", "requests", "waiting")

    def __init__(self, requests: list[object]) -> None:
        self.requests = deque(requests)
        self.waiting = 0
        self._replies: list[bytes] = []
        self._size = 0

    @property
    def is_through(self) -> bool:
        """Whether all replies are there."""
        return not self.requests and not self.waiting

    def add(self, reply: "dict[str, object]") -> None:
        """Take a reply, if there is room."""
        if self._size <= REPLY_LIMIT:
            self._replies.append(encode(reply)[:-1])
            self._size += len(self._replies[-1])

    def close(self) -> bytes:
        """Return the whole reply; empty if there were only notifications."""
        if self._size > REPLY_LIMIT:
            text = f"Exceeded max limit of {REPLY_LIMIT}"
            return encode(reply_error(None, -32011, "The batch response was too large", text))
        return b"[" + b",".join(self._replies) + b"]\n" if self._replies else b""


class Stop:
    """A stop that is answered when the service is down."""

    __slots__ = ("asked", "batch", "name", "number")

    def __init__(self, name: str, number: object, asked: float, batch: Batch | None) -> None:
        self.name = name
        self.number = number  # NOBODY: a notification
        self.asked = asked
        self.batch = batch


class RpcSession:
    """Turns requests into replies, and log lines into notifications."""

    def __init__(self, api: "Api") -> None:
        self._api = api
        self._cutter = Cutter()
        self._requests: deque[bytes] = deque()
        self._batch: Batch | None = None  # whose requests are worked off
        self._is_ended = False  # nothing more is asked
        self._look_at = 0.0
        self._stops: list[Stop] = []
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

    @property
    def is_busy(self) -> bool:
        """Whether requests wait."""
        return bool(self._requests or self._batch)

    @property
    def is_waiting(self) -> bool:
        """Whether the reply to a stop is still to come."""
        return bool(self._stops)

    @property
    def is_over(self) -> bool:
        """Whether nothing is asked any more and everything is answered."""
        return self._is_ended and not self.is_busy and not self.is_waiting

    def feed(self, data: bytes) -> bytes:
        """Take received bytes; the replies come from `pull`."""
        if not data:
            self._is_ended = True
        if self._is_ended:
            return b""
        try:
            self._requests.extend(self._cutter.feed(data))
        except ValueError:
            self._is_ended = True
            self.ask(b"")  # which is no JSON
        return b""

    def ask(self, text: bytes) -> None:
        """Take one request or batch."""
        self._requests.append(text)

    def pull(self) -> bytes:
        """Work one request off; return its reply, those of stops that are through, log lines."""
        reply = self._work() if self.is_busy else b""
        return b"".join((reply, *self._pull_stops(), *self._pull_lines()))

    def next_time(self) -> float | None:
        """Return when a waiting stop is to be looked at."""
        return self._look_at if self._stops else None

    def _work(self) -> bytes:
        """Work off one request, or one of the batch that was begun."""
        if self._batch is None:
            try:
                value = json.loads(self._requests.popleft(), parse_constant=refuse)
            except (ValueError, RecursionError):
                return encode(reply_error(None, -32700, "Parse error"))
            if not isinstance(value, list):
                one = self._call(value)
                return b"" if one is None else encode(one)
            if not value:
                return encode(reply_error(None, -32600, "Invalid request"))
            self._batch = Batch(value)
        batch = self._batch
        one = self._call(batch.requests.popleft(), batch)
        if one is not None:
            batch.add(one)
        if not batch.requests:
            self._batch = None
        return batch.close() if batch.is_through else b""

    def _call(self, request: object, batch: Batch | None = None) -> "dict[str, object] | None":
        number = request.get("id", NOBODY) if isinstance(request, dict) else None
        if not is_id(number):
            number = request = None
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return reply_error(None if number is NOBODY else number, -32600, "Invalid request")
        try:
            result = self._invoke(request["method"], request.get("params"))
        except RpcError as error:
            reply = reply_error(number, error.code, error.message, error.data)
        except Exception as error:
            self._api.manager.system.fault(error)
            reply = reply_error(number, -32603, "Internal error")
        else:
            if isinstance(result, Stop):
                self._wait_for(result, number, batch)
                return None
            reply = {"jsonrpc": "2.0", "id": number, "result": result}
        return None if number is NOBODY else reply

    def _invoke(self, method: str, params: object) -> object:
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
            return Stop(name, NOBODY, self._api.now(), None)
        return result

    def _wait_for(self, stop: Stop, number: object, batch: Batch | None) -> None:
        """Answer a stop when it is through."""
        stop.number, stop.batch = number, batch
        if batch is not None:
            batch.waiting += 1
        if not self._stops:
            self._look_at = stop.asked + STOP_TAKES_S
        self._stops.append(stop)

    def _pull_stops(self) -> "list[bytes]":
        now = self._api.now()
        if not self._stops or now < self._look_at:
            return []
        self._look_at = now + STOP_STEP_S
        through = [stop for stop in self._stops if self._is_through(stop, now)]
        self._stops = [stop for stop in self._stops if stop not in through]
        return [self._answer_stop(stop) for stop in through]

    def _is_through(self, stop: Stop, now: float) -> bool:
        unit = self._api.manager.units.get(stop.name)
        is_down = unit is None or not unit.record.has_process
        return now >= stop.asked + (STOP_TAKES_S if is_down else STOP_LIMIT_S)

    def _answer_stop(self, stop: Stop) -> bytes:
        """Return the reply to a stop, or the batch that waited for it last."""
        reply: dict[str, object] = {"jsonrpc": "2.0", "id": stop.number, "result": None}
        batch = stop.batch
        if batch is None:
            return b"" if stop.number is NOBODY else encode(reply)
        batch.waiting -= 1
        if stop.number is not NOBODY:
            batch.add(reply)
        return batch.close() if batch.is_through else b""

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
        from zinit.process.stats import describe

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
        from zinit.control.openrpc import describe_methods

        return describe_methods({name: names for name, (names, _) in self._methods.items()})
