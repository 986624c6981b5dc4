"""One connection that speaks the line protocol: a command, its reply, the end (or a log)."""

from zinit.control.protocol import ProtocolError, format_reply, parse_request
from zinit.life.unit import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.control.commands import Api

REQUEST_LIMIT = 1 << 20
CHUNK_LINES = 200


class LineSession:
    """Turns what a client sends into what it gets."""

    is_busy = False

    def __init__(self, api: "Api") -> None:
        self.is_over = False
        self.is_following = False
        self._api = api
        self._cursor = 0
        self._incoming = b""
        manager = api.manager
        self._commands: dict[str, Callable[..., object]] = {
            "list": manager.list_states,
            "status": manager.status,
            "start": manager.start,
            "stop": manager.stop,
            "forget": manager.forget,
            "monitor": api.monitor,
            "kill": manager.kill,
            "shutdown": api.order_shutdown,
            "reboot": api.order_reboot,
            "reexec": api.order_reexec,
            "reload": api.reload,
            "analyze": api.analyze,
        }

    def feed(self, data: bytes) -> bytes:
        """Take received bytes (none: the client has closed its side); return the reply so far."""
        if self.is_following or self.is_over:
            self.is_over = self.is_over or not data
            return b""
        self._incoming += data
        if b"\n" not in self._incoming and data:
            self.is_over = len(self._incoming) > REQUEST_LIMIT
            return b""
        if not self._incoming:
            self.is_over = True
            return b""
        line = self._incoming.split(b"\n", 1)[0].decode(errors="replace")
        self._incoming = b""
        try:
            return self._answer(parse_request(line))
        except (ProtocolError, CommandError) as error:
            self.is_over = True
            return format_reply(str(error), is_error=True)

    def pull(self) -> bytes:
        """Return new log lines for a follower; called when everything else is sent."""
        if not self.is_following:
            return b""
        lines, self._cursor, missed = self._api.ring.read(self._cursor, CHUNK_LINES)
        if missed:
            lines.insert(0, b"[-] zinit: %d lines dropped" % missed)
        return b"".join(line + b"\n" for line in lines)

    def next_time(self) -> float | None:
        """Return when `pull` may have something new though no line was logged."""
        return None

    def _answer(self, words: list[str]) -> bytes:
        name, *args = words
        if name == "log" and not args:
            self.is_following = True
            self._cursor = self._api.ring.start
            return b""
        self.is_over = True
        if name == "log":
            return b"".join(line + b"\n" for line in self._api.ring.lines())
        return format_reply(self._commands[name](*args))
