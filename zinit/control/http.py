"""JSON-RPC over HTTP and WebSocket, for one listening socket of the daemon.

It listens only on loopback or a Unix socket, and every request needs the token that starting it
returned, in an `Authorization: Bearer` header: a client of these methods can run anything as root.
A request is a POST with the JSON text, of a given length or in chunks. A GET with
`Upgrade: websocket` turns the connection into a WebSocket: requests, replies and log lines are text
messages.
"""

from _operator import _compare_digest

from zinit.control.httpbody import ChunkedBody, LengthBody, TooLongError, open_body
from zinit.control.jsonrpc import RpcSession
from zinit.control.websocket import BINARY, CLOSE, PING, PONG, TEXT, WebSocket, accept_socket, frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.control.api import Api

HEAD_LIMIT = 16384
REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    405: "Method Not Allowed",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PROTOCOL_ERROR = b"\x03\xea"  # status 1002


class HttpSession:
    """One connection: a request and its reply, or a WebSocket."""

    def __init__(self, api: "Api", token: str) -> None:
        self.is_over = False
        self.is_trusted = False  # it has presented the token
        self._token = token
        self._rpc = RpcSession(api)
        self._incoming = b""  # the head, or frames of a WebSocket
        self._body: LengthBody | ChunkedBody | None = None
        self._socket: WebSocket | None = None
        self._is_asked = False  # the one request of this connection has been read
        self._farewell = b""  # the last frame of a WebSocket, sent after all replies

    @property
    def is_busy(self) -> bool:
        """Whether `pull` has more to do."""
        return self._rpc.is_busy and not self.is_over

    def feed(self, data: bytes) -> bytes:
        """Take received bytes; return what to send."""
        if self._is_asked or self._farewell:
            return b""
        if not data:
            self.is_over = True
            return b""
        if self._body is not None:
            return self._feed_body(self._body, data)
        self._incoming += data
        if self._socket is not None:
            return self._feed_socket(self._socket)
        head, found, body = self._incoming.partition(b"\r\n\r\n")
        if not found:
            return self._refuse(431) if len(self._incoming) > HEAD_LIMIT else b""
        return self._answer(head, body)

    def pull(self) -> bytes:
        """Return replies and, over a WebSocket, log lines."""
        if self.is_over:
            return b""
        data = self._rpc.pull()
        if self._socket is not None:
            self.is_over = bool(self._farewell) and not self._rpc.is_busy
            end = self._farewell if self.is_over else b""
            return b"".join(frame(TEXT, line) for line in data.splitlines()) + end
        if self._is_asked and not self._rpc.is_busy and (data or not self._rpc.is_waiting):
            return self._reply(200 if data else 204, data)
        return b""

    def next_time(self) -> float | None:
        """Return when `pull` must be called."""
        return self._rpc.next_time()

    def _answer(self, head: bytes, body: bytes) -> bytes:
        try:
            method, headers = parse_head(head)
            self._body = open_body(headers)
        except ValueError:
            return self._refuse(400)
        except TooLongError:
            pass  # told only to those that have the token
        if not self._is_allowed(headers.get("authorization", "")):
            return self._refuse(401)
        self.is_trusted = True
        if method == "GET" and headers.get("upgrade", "").lower() == "websocket":
            self._body = None
            self._socket = WebSocket()
            self._incoming = body
            accepted = accept_socket(headers.get("sec-websocket-key", ""))
            return accepted + self._feed_socket(self._socket)
        if method != "POST":
            return self._refuse(405)
        if self._body is None:
            return self._refuse(413)
        self._incoming = b""
        go_on = CONTINUE if headers.get("expect", "").lower() == "100-continue" else b""
        return go_on + self._feed_body(self._body, body)

    def _feed_body(self, body: LengthBody | ChunkedBody, data: bytes) -> bytes:
        try:
            text = body.feed(data)
        except ValueError:
            return self._refuse(400)
        except TooLongError:
            return self._refuse(413)
        if text is not None:
            self._is_asked = True
            self._rpc.ask(text)
        return b""

    def _is_allowed(self, header: str) -> bool:
        kind, _, token = header.partition(" ")
        given = token.strip().encode(errors="replace")
        return kind.lower() == "bearer" and _compare_digest(given, self._token.encode())

    def _refuse(self, status: int) -> bytes:
        return self._reply(status, REASONS[status].encode() + b"\n")

    def _reply(self, status: int, body: bytes) -> bytes:
        self.is_over = True
        kind = "application/json" if status == 200 else "text/plain"
        lines = [f"HTTP/1.1 {status} {REASONS[status]}", f"Content-Type: {kind}"]
        lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
        return "\r\n".join(lines).encode() + body

    def _feed_socket(self, socket: "WebSocket") -> bytes:
        out = b""
        try:
            messages, self._incoming = socket.cut(self._incoming)
        except ValueError:
            self._farewell = frame(CLOSE, PROTOCOL_ERROR)
            return b""
        for kind, data in messages:
            if kind == PING:
                out += frame(PONG, data)
            elif kind == CLOSE:
                self._farewell = frame(CLOSE, data[:2])
                break
            elif kind in (TEXT, BINARY):
                self._rpc.ask(data)
        return out


def parse_head(head: bytes) -> tuple[str, dict[str, str]]:
    """Return the method and the headers, their names in lower case; raises ValueError."""
    first, *lines = head.decode("ascii").split("\r\n")
    method, _target, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError("not HTTP/1")
    pairs = (line.partition(":") for line in lines)
    return method, {name.strip().lower(): value.strip() for name, _, value in pairs}
