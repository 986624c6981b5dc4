"""WebSocket frames and the handshake (RFC 6455), for `zinit.control.http`."""

from zinit.control.rpctext import REQUEST_LIMIT

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
KINDS = (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
CONTROL_LIMIT = 125
FINAL, MASKED = 0x80, 0x80


class WebSocket:
    """Joins the frames that a client sends into messages (section 5)."""

    def __init__(self) -> None:
        self._message = bytearray()
        self._kind = 0

    def cut(self, data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
        """Return the messages in `data` and the rest of it; raises ValueError for a bad frame."""
        messages = []
        at = 0
        while (parts := cut_frame(data, at)) is not None:
            first, payload, at = parts
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
                messages.append((self._kind, bytes(self._message)))
                self._message, self._kind = bytearray(), 0
        return messages, data[at:]


def cut_frame(data: bytes, start: int) -> tuple[int, bytes, int] | None:
    """Return first byte and payload of the frame at `start`, and where the next one begins.

    Returns None if the frame is not complete yet; raises ValueError for a bad frame.
    """
    if len(data) < start + 2:
        return None
    if not data[start + 1] & MASKED or data[start] & 0x70:
        raise ValueError("not masked, or an extension")
    size, at = data[start + 1] & 0x7F, start + 2
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
    return data[start], payload, at + 4 + size


def frame(kind: int, payload: bytes) -> bytes:
    """Return one frame to the client, not masked."""
    size = len(payload)
    if size < 126:
        head = bytes((FINAL | kind, size))
    elif size < 1 << 16:
        head = bytes((FINAL | kind, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((FINAL | kind, 127)) + size.to_bytes(8, "big")
    return head + payload


def accept_socket(key: str) -> bytes:
    """Return the reply that turns a connection into a WebSocket."""
    from binascii import b2a_base64
    from hashlib import sha1

    accepted = b2a_base64(
        sha1(key.encode() + MAGIC, usedforsecurity=False).digest(), newline=False
    ).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    return "\r\n".join([*lines, f"Sec-WebSocket-Accept: {accepted}", "", ""]).encode()
