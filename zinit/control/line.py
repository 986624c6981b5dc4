"""One connection that speaks the line protocol: a command, its reply (or the log), and the end."""

from zinit.control.deferred import LOOK_S, Deferred
from zinit.control.linetext import ProtocolError, format_reply, parse_request
from zinit.life.unit import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.control.api import Api

REQUEST_LIMIT = 64 << 10
CHUNK_LINES = 200


class LineSession:
    """Turns the bytes of a client into a reply."""

    is_busy = False
    is_trusted = True

    def __init__(self, api: "Api") -> None:
        self.api = api
        self.is_over = False
        self._is_following = False
        self._cursor = 0
        self._until: int | None = None  # the end of a copy of the log
        self._incoming = b""
        self._deferred: Deferred | None = None
        self._look_at = 0.0

    def feed(self, data: bytes) -> bytes:
        """Take received bytes (none: the client has closed its side); return the reply so far."""
        if self._deferred is not None or self._until is not None:
            return b""  # a client that has closed its side still gets its reply
        if self._is_following or self.is_over:
            self.is_over = self.is_over or not data
            return b""
        self._incoming += data
        if data and b"\n" not in data:
            self.is_over = len(self._incoming) > REQUEST_LIMIT
            return b""
        if not self._incoming:
            self.is_over = True
            return b""
        line = self._incoming.split(b"\n", 1)[0].decode(errors="replace")
        self._incoming = b""
        try:
            return self._answer(line)
        except (ProtocolError, CommandError) as error:
            return self._refuse(error)

    def pull(self) -> bytes:
        """Return a deferred reply that is due, or new log lines for a follower."""
        if self._deferred is not None:
            return self._pull_deferred(self._deferred)
        if self._until is not None:
            return self._pull_copy(self._until)
        return self._pull_lines(CHUNK_LINES) if self._is_following else b""

    def _pull_copy(self, until: int) -> bytes:
        """Return the next lines of a copy; the session is over after the last ones."""
        if self._cursor >= until:
            self.is_over = True
            return b""
        return self._pull_lines(min(CHUNK_LINES, until - self._cursor))

    def _pull_lines(self, limit: int) -> bytes:
        lines, self._cursor, missed = self.api.ring.read(self._cursor, limit)
        if missed:
            lines.insert(0, b"[-] zinit: %d lines dropped" % missed)
        return b"".join(line + b"\n" for line in lines)

    def next_time(self) -> float | None:
        """Return when `pull` may have something even if no line is logged."""
        return None if self._deferred is None else self._look_at

    def follow_log(self) -> bytes:
        """Send the log and then new lines until the client closes the connection."""
        self._is_following = True
        self._cursor = self.api.ring.start
        return b""

    def copy_log(self) -> bytes:
        """Send the log as it is now, a few lines at a time: a client may never read."""
        self._is_following = True
        self._cursor, self._until = self.api.ring.start, self.api.ring.end
        return b""

    def _answer(self, line: str) -> bytes:
        command, args = parse_request(line)
        result = command.run(self, *args)
        if isinstance(result, Deferred):
            self._deferred, self._look_at = result, result.first_look
            return b""
        self.is_over = not self._is_following
        return result if isinstance(result, bytes) else format_reply(result)

    def _pull_deferred(self, reply: Deferred) -> bytes:
        now = self.api.now()
        if now < self._look_at:
            return b""
        self._look_at = now + LOOK_S
        try:
            if not reply.is_due(now):
                return b""
            text = format_reply(reply.result())
        except CommandError as error:
            return self._refuse(error)
        self._deferred = None
        self.is_over = True
        return text

    def _refuse(self, error: Exception) -> bytes:
        self._deferred = None
        self.is_over = True
        return format_reply(str(error), is_error=True)
