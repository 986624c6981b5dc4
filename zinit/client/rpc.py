"""A JSON-RPC call over the control socket."""

import json
import socket

from zinit.client.errors import (
    TIMEOUT_S,
    NoAnswerError,
    ZinitError,
    collect,
    fail_to_talk,
    misunderstand,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def call(path: str, method: str, params: "list[object]", timeout_s: float = TIMEOUT_S) -> object:
    """Return the result of a method; raises `ZinitError` with the daemon's message."""
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout_s)
        try:
            sock.connect(path)
            sock.sendall(request.encode() + b"\n")
            data = collect(receive_line(sock), timeout_s)
        except OSError as error:
            raise fail_to_talk(path, error) from None
    if not data:
        raise NoAnswerError("zinit closed the connection without an answer")
    try:
        reply = json.loads(data)
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, dict) or not ("result" in reply or "error" in reply):
        raise misunderstand(data)
    if "error" in reply:
        refusal = reply["error"]
        raise ZinitError(str(refusal.get("message") if isinstance(refusal, dict) else refusal))
    result: object = reply["result"]
    return result


def receive_line(sock: socket.socket) -> "Iterator[bytes]":
    """Yield what arrives up to the end of a line, or of the connection."""
    while part := sock.recv(65536):
        yield part
        if part.endswith(b"\n"):
            return
