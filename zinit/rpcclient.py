"""One JSON-RPC call over the control socket."""

import json
import socket

from zinit.client import TIMEOUT_S, ZinitError


def call(path: str, method: str, params: "list[object]", timeout_s: float = TIMEOUT_S) -> object:
    """Return the result of a method; raises `ZinitError` with the daemon's message."""
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    data = b""
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(timeout_s)
        try:
            door.connect(path)
            door.sendall(request.encode() + b"\n")
            while not data.endswith(b"\n"):
                part = door.recv(65536)
                if not part:
                    break
                data += part
        except OSError as error:
            raise ZinitError(f"cannot talk to zinit on {path}: {error}") from None
    try:
        reply = json.loads(data)
    except ValueError:
        raise ZinitError("zinit closed the connection") from None
    if "error" in reply:
        raise ZinitError(str(reply["error"].get("message")))
    result: object = reply["result"]
    return result
