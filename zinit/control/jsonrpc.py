"""One connection that speaks JSON-RPC 2.0, with the methods of upstream's zinit 0.2.28 and more.

Requests are JSON values one after another (a newline between them is optional), single or in
batches, with positional or named parameters. Replies end in a newline. Errors carry upstream's
codes and its `data` object.

Requests are queued in the session. Each is handled when the reply before it has been sent, so that
a thousand requests of one client delay nobody else.
"""

import json
from collections import deque

from zinit.control.commands import METHODS, Command
from zinit.control.deferred import Deferred
from zinit.control.rpcbatch import Batch, Owed, OwedReplies
from zinit.control.rpcerrors import RpcError, explain
from zinit.control.rpctext import (
    NOTIFICATION,
    Cutter,
    bind,
    encode,
    is_id,
    make_error,
    make_result,
    refuse_constant,
)
from zinit.life.unit import CommandError
from zinit.log.ring import is_line_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.control.api import Api

CHUNK_LINES = 200


class RpcSession:
    """Turns requests into replies, and log lines into notifications."""

    is_trusted = True

    def __init__(self, api: "Api") -> None:
        self.api = api
        self._cutter = Cutter()
        self._requests: deque[bytes] = deque()
        self._batch: Batch | None = None  # the batch whose requests are being handled
        self._is_closed = False  # no more requests are accepted
        self._owed = OwedReplies()
        self._subscriptions: dict[int, str | None] = {}
        self._cursor = 0

    @property
    def is_busy(self) -> bool:
        """Whether requests are queued."""
        return bool(self._requests or self._batch)

    @property
    def is_waiting(self) -> bool:
        """Whether a deferred reply is still to be sent."""
        return bool(self._owed)

    @property
    def is_over(self) -> bool:
        """Whether the client has closed its side and has all its replies."""
        return self._is_closed and not self.is_busy and not self.is_waiting

    def feed(self, data: bytes) -> bytes:
        """Take received bytes; the replies come from `pull`."""
        if not data:
            self._is_closed = True
        if self._is_closed:
            return b""
        try:
            self._requests.extend(self._cutter.feed(data))
        except ValueError:
            self._is_closed = True
            self.ask(b"")  # answered with a parse error
        return b""

    def ask(self, text: bytes) -> None:
        """Queue one request or batch."""
        self._requests.append(text)

    def pull(self) -> bytes:
        """Handle one request; return its reply, deferred replies that are due, and log lines."""
        reply = self._work() if self.is_busy else b""
        owed = self._owed.pull(self.api.now()) if self._owed else ()
        return b"".join((reply, *owed, *self._pull_lines()))

    def next_time(self) -> float | None:
        """Return when a deferred reply may be due."""
        return self._owed.next_time()

    def copy_log(self, name: str | None) -> list[str]:
        """Return the log as it is now, of one service or of all."""
        lines = self.api.ring.lines()
        return [
            line.decode(errors="replace")
            for line in lines
            if name is None or is_line_of(line, name)
        ]

    def subscribe(self, name: str | None) -> int:
        """Send new log lines of a service, or of all, as notifications; return a number."""
        if not self._subscriptions:
            self._cursor = self.api.ring.end
        number = max(self._subscriptions, default=0) + 1
        self._subscriptions[number] = name
        return number

    def unsubscribe(self, subscription: object) -> bool:
        """End a subscription; return whether there was one."""
        if not isinstance(subscription, int):
            return False
        return self._subscriptions.pop(subscription, "?") != "?"

    def describe_methods(self) -> str:
        """Return the OpenRPC document."""
        from zinit.control.openrpc import describe_methods

        return describe_methods(METHODS.values())

    def _work(self) -> bytes:
        """Handle one request, or one of the current batch."""
        if self._batch is None:
            try:
                value = json.loads(self._requests.popleft(), parse_constant=refuse_constant)
            except (ValueError, RecursionError):
                return encode(make_error(None, -32700, "Parse error"))
            if not isinstance(value, list):
                one = self._call(value)
                return b"" if one is None else encode(one)
            if not value:
                return encode(make_error(None, -32600, "Invalid request"))
            self._batch = Batch(value)
        batch = self._batch
        one = self._call(batch.requests.popleft(), batch)
        if one is not None:
            batch.add(one)
        if not batch.requests:
            self._batch = None
        return batch.close() if batch.is_finished else b""

    def _call(self, request: object, batch: Batch | None = None) -> "dict[str, object] | None":
        """Handle a request; return its reply unless it is deferred or was a notification."""
        number = request.get("id", NOTIFICATION) if isinstance(request, dict) else None
        if not is_id(number):
            number = request = None
        if not is_request(request):
            return make_error(None if number is NOTIFICATION else number, -32600, "Invalid request")
        try:
            assert isinstance(request, dict)
            command, args = find_command(request)
            name = args[0] if args and isinstance(args[0], str) else ""
            result = self._run(command, args, name)
            if isinstance(result, Deferred):
                self._owed.add(Owed(result, number, command.action, name, batch))
                return None
            reply = make_result(number, result)
        except RpcError as error:
            reply = make_error(number, error.code, error.message, error.data)
        except Exception as error:
            self.api.manager.system.fault(error)
            reply = make_error(number, -32603, "Internal error")
        return None if number is NOTIFICATION else reply

    def _run(self, command: Command, args: list[object], name: str) -> object:
        try:
            return command.run(self, *args)
        except CommandError as error:
            raise explain(error, command.action, name) from None

    def _pull_lines(self) -> "list[bytes]":
        if not self._subscriptions:
            return []
        notes = []
        lines, self._cursor, missed = self.api.ring.read(self._cursor, CHUNK_LINES)
        if missed:
            lines.insert(0, b"[-] zinit: %d lines dropped" % missed)
        for line in lines:
            for number, name in self._subscriptions.items():
                if name is None or is_line_of(line, name):
                    params = {"subscription": number, "result": line.decode(errors="replace")}
                    note = {"jsonrpc": "2.0", "method": "stream_subscribeLogs", "params": params}
                    notes.append(encode(note))
        return notes


def is_request(value: object) -> bool:
    """Return whether `value` is a request of version 2.0."""
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        return False
    return isinstance(value.get("method"), str)


def find_command(request: "dict[str, object]") -> tuple[Command, list[object]]:
    """Return the command and the arguments of a request; raises RpcError."""
    command = METHODS.get(str(request["method"]))
    if command is None:
        raise RpcError(-32601, "Method not found")
    return command, bind(command.parameters, request.get("params"))
