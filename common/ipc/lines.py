"""Lines of JSON on a socket, of bounded size, within a deadline."""

import json
import socket
import time
from typing import Any

from common.ipc.errors import IpcError

LINE_MAX_BYTES = 1 << 20
CHUNK_BYTES = 1 << 16


class Lines:
    """Reads and writes one connection. `timeout_s` holds for each line as a whole."""

    def __init__(self, connection: socket.socket, timeout_s: float) -> None:
        self.connection = connection
        self.timeout_s = timeout_s
        self._left = b""

    def read(self) -> dict[str, Any] | None:
        """Return the next line's object, or None at the end of the stream.

        Raises `IpcError` for what is no such line, `TimeoutError`, `OSError`.
        """
        deadline = time.monotonic() + self.timeout_s
        parts, size = [self._left], len(self._left)
        while b"\n" not in parts[-1]:
            self.connection.settimeout(max(deadline - time.monotonic(), 0.001))
            chunk = self.connection.recv(CHUNK_BYTES)
            if not chunk:
                if size:
                    raise IpcError("the other side ended in the middle of a line")
                return None
            parts.append(chunk)
            size += len(chunk)
            if size > LINE_MAX_BYTES:
                raise IpcError(f"a line has more than {LINE_MAX_BYTES} bytes")
        line, _, self._left = b"".join(parts).partition(b"\n")
        return parse(line)

    def write(self, value: dict[str, Any]) -> None:
        """Send one line. Raises `TimeoutError`, `OSError`."""
        self.connection.settimeout(self.timeout_s)
        self.connection.sendall(json.dumps(value).encode() + b"\n")


def parse(line: bytes) -> dict[str, Any]:
    """Return the object of a line; raise `IpcError` for anything else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise IpcError("a line is not an object in JSON")
    return value
