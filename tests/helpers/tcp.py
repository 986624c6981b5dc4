"""Bytes over a socket."""

import socket


def read_all(stream: socket.socket) -> bytes:
    """Return everything until the other side closes."""
    data = b""
    while chunk := stream.recv(65536):
        data += chunk
    return data
