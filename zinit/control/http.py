"""JSON-RPC over HTTP and WebSocket, for one listening socket of the daemon.

Only on loopback or a Unix socket, and only with the token that starting it returned, in an
`Authorization: Bearer` header: whoever may call these methods may run anything as root. A request
is a POST with the JSON text; a GET with `Upgrade: websocket` turns the connection into a WebSocket
whose text messages are requests and whose answers and log lines come as text messages.
"""

from _operator import _compare_digest

from zinit.control.jsonrpc import RpcSession
from zinit.control.rpctext import REQUEST_LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.control.commands import Api

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
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
KINDS = (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
CONTROL_LIMIT = 125
PROTOCOL_ERROR = b"\x03\xea"  # 1002
FINAL, MASKED = 0x80, 0x80


class HttpSession:
    """One connection: a request and its reply, or a WebSocket."""

    def __init__(self, api: "Api", token: str) -> None:
        self.is_over = False
        self._token = token
        self._rpc = RpcSession(api)
        self._incoming = b""
        self._socket: WebSocket | None = None
        self._is_asked = False  # its one request is there
        self._farewell = b""  # the last frame of a WebSocket, when all is answered

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
        self._incoming += data
        if self._socket is not None:
            return self._feed_socket(self._socket)
        head, found, body = self._incoming.partition(b"\r\n\r\n")
        if not found:
            return self._refuse(431) if len(self._incoming) > HEAD_LIMIT else b""
        return self._answer(head, body)

    def pull(self) -> bytes:
        """Return replies, and log lines for a WebSocket."""
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
        """Return when `pull` is wanted."""
        return self._rpc.next_time()

    def _answer(self, head: bytes, body: bytes) -> bytes:
        try:
            method, headers = parse_head(head)
            length = int(headers.get("content-length", "0"))
        except ValueError:
            return self._refuse(400)
        if not self._is_allowed(headers.get("authorization", "")):
            return self._refuse(401)
        if method == "GET" and headers.get("upgrade", "").lower() == "websocket":
            self._socket = WebSocket()
            self._incoming = body
            accepted = accept_socket(headers.get("sec-websocket-key", ""))
            return accepted + self._feed_socket(self._socket)
        if method != "POST":
            return self._refuse(405)
        if not 0 <= length <= REQUEST_LIMIT:
            return self._refuse(413)
        if len(body) < length:
            return b""
        self._incoming = b""
        self._is_asked = True
        self._rpc.ask(body[:length])
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


class WebSocket:
    """The frames of one direction, from the client to us (RFC 6455, section 5)."""

    def __init__(self) -> None:
        self._message = b""
        self._kind = 0

    def cut(self, data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
        """Return the messages in `data` and what is left; raises ValueError for a bad frame."""
        messages = []
        while (parts := cut_frame(data)) is not None:
            first, payload, data = parts
            kind = first & 0x0F
            if kind not in KINDS:
                raise ValueError("an unknown kind of frame")
            if kind >= CLOSE:
                if len(payload) > CONTROL_LIMIT or not first & FINAL:
                    raise ValueError("a control frame that is long or in parts")
                messages.append((kind, payload))
                continue
            if (kind == CONTINUATION) != bool(self._kind):
                raise ValueError("a fragment out of place")
            self._kind = self._kind or kind
            self._message += payload
            if len(self._message) > REQUEST_LIMIT:
                raise ValueError("too long")
            if first & FINAL:
                messages.append((self._kind, self._message))
                self._message, self._kind = b"", 0
        return messages, data


def cut_frame(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Return the first byte, the payload and the rest of the first whole frame in `data`."""
    if len(data) < 2:
        return None
    if not data[1] & MASKED or data[0] & 0x70:
        raise ValueError("not masked, or an extension")
    size, at = data[1] & 0x7F, 2
    if size >= 126:
        width = 2 if size == 126 else 8
        if len(data) < at + width:
            return None
        size = int.from_bytes(data[at : at + width], "big")
        at += width
    if size > REQUEST_LIMIT:
        raise ValueError("too long")
    if len(data) < at + 4 + size:
        return None
    mask, masked = data[at : at + 4], data[at + 4 : at + 4 + size]
    key = int.from_bytes(mask * (size // 4 + 1), "big") >> (8 * (4 - size % 4))
    payload = (int.from_bytes(masked, "big") ^ key).to_bytes(size, "big")
    return data[0], payload, data[at + 4 + size :]


def frame(kind: int, payload: bytes) -> bytes:
    """Return one whole frame from us to the client."""
    size = len(payload)
    if size < 126:
        head = bytes((FINAL | kind, size))
    elif size < 1 << 16:
        head = bytes((FINAL | kind, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((FINAL | kind, 127)) + size.to_bytes(8, "big")
    return head + payload


def parse_head(head: bytes) -> tuple[str, dict[str, str]]:
    """Return the method and the headers, their names in lower case; raises ValueError."""
    first, *lines = head.decode("ascii").split("\r\n")
    method, _target, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError("not HTTP/1")
    pairs = (line.partition(":") for line in lines)
    return method, {name.strip().lower(): value.strip() for name, _, value in pairs}


def accept_socket(key: str) -> bytes:
    """Return the reply that makes a connection a WebSocket."""
    from binascii import b2a_base64
    from hashlib import sha1

    accepted = b2a_base64(
        sha1(key.encode() + MAGIC, usedforsecurity=False).digest(), newline=False
    ).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    return "\r\n".join([*lines, f"Sec-WebSocket-Accept: {accepted}", "", ""]).encode()
