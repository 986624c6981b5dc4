"""Asks a Redis server whether it is there, as `redis-cli PING` does."""

import socket

TRY_TIMEOUT_S = 3.0


def ping(host: str, port: int, timeout_s: float = TRY_TIMEOUT_S) -> str:
    """Return what the server answers to PING ("PONG"); raises OSError where nothing answers."""
    with socket.create_connection((host, port), timeout=timeout_s) as channel:
        channel.settimeout(timeout_s)
        channel.sendall(b"*1\r\n$4\r\nPING\r\n")
        reply = channel.makefile("rb").readline(256)
    if not reply.endswith(b"\r\n") or reply[:1] not in b"+-":
        raise ConnectionError(f"no Redis answers on {host}:{port}")
    return reply[1:-2].decode(errors="replace")
