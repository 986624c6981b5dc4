"""Pings a Redis server, as `redis-cli PING` does."""

import socket

TRY_TIMEOUT_S = 3.0


def ping(host: str, port: int, timeout_s: float = TRY_TIMEOUT_S) -> str:
    """Return "PONG" if the server answers so; raise `OSError` otherwise."""
    with socket.create_connection((host, port), timeout=timeout_s) as channel:
        channel.settimeout(timeout_s)
        channel.sendall(b"*1\r\n$4\r\nPING\r\n")
        reply = channel.makefile("rb").readline(256)
    if reply != b"+PONG\r\n":  # for example "-LOADING ...": not ready yet
        raise ConnectionError(f"no Redis answers on {host}:{port} yet: {reply[:80]!r}")
    return "PONG"
